//! The part of a configuration that all peers of a common run have in common.

use super::show;
use crate::config::checks::ConfigError;
use crate::config::layers::{Layers, Purpose, Resolved};
use crate::config::schema::{Config, ConfigKey, KEYS};
use crate::system::error::UsageError;

/// Keys that each machine chooses for itself; the run fixes all others.
const OWN: &[&str] = &[
    "run.output",
    "run.device",
    "run.threads",
    "data.sources",
    "data.prefetch",
    "train.micro_batch_size",
    "train.log_every",
    "train.eval_every",
    "train.precision",
    "memory.recompute",
    "memory.recompute_every",
    "memory.offload",
    "memory.gather_for",
    "memory.limit",
    "checkpoint.every",
    "checkpoint.keep",
    "comms.key",
    "comms.upload_limit",
    "comms.download_limit",
    "comms.byte_budget",
    "comms.poll",
    "comms.retry",
];

/// What a run's description calls the file of the common configuration.
pub const SHARED_CONFIG: &str = "config.toml";

impl ConfigKey {
    /// Whether all peers of a run have the same value.
    pub fn is_shared(&self) -> bool {
        !OWN.contains(&self.path)
    }
}

impl Config {
    /// The keys that all peers of a run have in common, as a file.
    pub fn shared_toml(&self) -> String {
        show::document_of(self, ConfigKey::is_shared)
    }
}

impl Layers {
    /// The configuration of a peer: what the run says, and what this machine says of itself on top.
    ///
    /// # Errors
    /// [`ConfigError`], or [`UsageError`] if a key that the run fixes is set to something else.
    pub fn resolve_within(self, shared: &str, purpose: Purpose) -> anyhow::Result<Resolved> {
        let path = std::path::Path::new(SHARED_CONFIG);
        let common = Self::new().text(shared, path).resolve(Purpose::Show)?.config;
        let resolved: Result<Resolved, ConfigError> = self.text(shared, path).resolve(purpose);
        let resolved = resolved?;
        let differs = |key: &&ConfigKey| {
            key.is_shared()
                && show::value(&common, key.path) != show::value(&resolved.config, key.path)
        };
        match KEYS.iter().find(differs) {
            None => Ok(resolved),
            Some(key) => Err(fixed_by_the_run(key, &common, &resolved.config).into()),
        }
    }
}

fn fixed_by_the_run(key: &ConfigKey, common: &Config, own: &Config) -> UsageError {
    let (path, own, common) = (key.path, show::value(own, key.path), show::value(common, key.path));
    UsageError::new(format!("{path} = {own}, but the run has {common}"))
        .with_hint(format!("leave `{path}` out; all peers of a run train with the same value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> String {
        let layers = Layers::new()
            .set("train.steps=30")
            .set("data.sources=[{path = \"a\"}]")
            .set("run.threads=3");
        layers.resolve(Purpose::Show).unwrap().config.shared_toml()
    }

    fn within(settings: &[&str]) -> anyhow::Result<Config> {
        let layers = settings.iter().fold(Layers::new(), |layers, setting| layers.set(setting));
        Ok(layers.resolve_within(&shared(), Purpose::Show)?.config)
    }

    #[test]
    fn every_own_key_is_a_key() {
        for path in OWN {
            assert!(KEYS.iter().any(|key| key.path == *path), "{path}");
        }
    }

    #[test]
    fn only_what_is_shared_is_written_down() {
        let table: toml::Table = shared().parse().unwrap();
        for key in KEYS.iter().filter(|key| !key.is_shared()) {
            let (group, name) = key.parts();
            assert!(table.get(group).is_none_or(|group| group.get(name).is_none()), "{}", key.path);
        }
        assert_eq!(table["train"]["steps"].as_integer(), Some(30));
    }

    #[test]
    fn a_peer_chooses_its_own_keys() {
        let settings =
            ["train.micro_batch_size=2", "run.threads=1", "comms.poll=0.5", "run.output=here"];
        let config = within(&settings).unwrap();
        assert_eq!(
            (config.train.steps, config.train.micro_batch_size, config.run.threads),
            (30, 2, Some(1))
        );
        assert_eq!((config.comms.poll, config.comms.key.to_str()), (0.5, Some("here/peer.key")));
    }

    #[test]
    fn a_key_of_the_run_set_otherwise_is_refused() {
        assert!(
            within(&["train.steps=30", "optim.beta1=0.9"]).is_ok(),
            "the same is no contradiction"
        );
        let settings = [
            "train.steps=31",
            "model.hidden_size=64",
            "sparseloco.k=8",
            "rounds.min_peers=3",
            "run.seed=1",
        ];
        for setting in settings {
            let (path, value) = setting.split_once('=').unwrap();
            let message = within(&[setting]).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("{path} = {value}, but the run has ")),
                "{message}"
            );
        }
    }
}
