//! The part of a configuration that all peers of a common run have in common.

use super::error::ConfigError;
use super::layers::{Layers, Purpose};
use super::resolved::Resolved;
use super::schema::{KEYS, Key};
use super::sections::Config;
use super::show;
use crate::diagnostics::UsageError;

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

impl Key {
    /// Whether all peers of a run have the same value.
    pub fn is_shared(&self) -> bool {
        !OWN.contains(&self.path)
    }
}

impl Config {
    /// The keys that all peers of a run have in common, as a file.
    pub fn shared_toml(&self) -> String {
        show::document_of(self, Key::is_shared)
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
        let differs =
            |key: &&Key| key.is_shared() && show::value(&common, key.path) != show::value(&resolved.config, key.path);
        match KEYS.iter().find(differs) {
            None => Ok(resolved),
            Some(key) => Err(fixed_by_the_run(key, &common, &resolved.config).into()),
        }
    }
}

fn fixed_by_the_run(key: &Key, common: &Config, own: &Config) -> UsageError {
    let (path, own, common) = (key.path, show::value(own, key.path), show::value(common, key.path));
    UsageError::new(format!("{path} = {own}, but the run has {common}"))
        .with_hint(format!("leave `{path}` out; all peers of a run train with the same value"))
}
