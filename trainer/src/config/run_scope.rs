//! The keys that a distributed run fixes for all peers, and their document in the run.
//!
//! The document is a part of the run description: its digest is in the description, and the digest
//! of the description is the run ID. It is written under wire names and never serialised again
//! when it is read, so a run of an earlier release keeps its ID. It is read under wire names and
//! current names.

use std::path::Path;

use super::show;
use crate::config::checks::ConfigError;
use crate::config::layers::{Layers, Origin, Purpose, Resolved};
use crate::config::schema::{Config, ConfigKey, KEYS, Naming};
use crate::system::error::{Result, UsageError};

/// The name of the shared config among the parts of a run description.
pub const SHARED_CONFIG: &str = "config.toml";

impl Config {
    /// The keys of the run, as the file that all peers share.
    pub fn shared_toml(&self) -> String {
        show::document(self, Naming::Wire, ConfigKey::is_of_run, |_| None)
    }

    /// Reads the config that all peers of a run share. Keys of the machine have their defaults,
    /// also if `shared` sets them.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn from_shared_toml(shared: &str) -> Result<Self, ConfigError> {
        Ok(Layers::new().shared(shared).resolve(Purpose::Show)?.config)
    }
}

impl Layers {
    /// Adds the shared config of a run as the file.
    fn shared(self, shared: &str) -> Self {
        self.run_text(shared, Path::new(SHARED_CONFIG))
    }

    /// The config of a peer: the keys of the run from `shared`, the keys of the machine from
    /// `self`.
    ///
    /// # Errors
    /// [`ConfigError`], or [`UsageError`] if `self` sets a key of the run to another value.
    pub fn resolve_within(self, shared: &str, purpose: Purpose) -> Result<Resolved> {
        // Resolved twice: alone, and below the settings of this machine. A key of the run that
        // differs between the two was set here to something else.
        let run = Config::from_shared_toml(shared)?;
        let mut resolved = self.shared(shared).resolve(purpose)?;
        // The user cannot change the names in a run, so there is no note about them.
        resolved.renamed.retain(|key| !matches!(key.origin, Origin::File { .. }));
        let different = KEYS.iter().find(|key| {
            key.is_of_run()
                && show::value(&run, key.path) != show::value(&resolved.config, key.path)
        });
        match different {
            None => Ok(resolved),
            Some(key) => Err(fixed_by_the_run(key, &run, &resolved.config).into()),
        }
    }
}

fn fixed_by_the_run(key: &ConfigKey, run: &Config, own: &Config) -> UsageError {
    let (path, own, run) = (key.path, show::value(own, key.path), show::value(run, key.path));
    UsageError::new(format!("{path} = {own}, but the run has {run}"))
        .with_hint(format!("leave `{path}` out; all peers of a run train with the same value"))
}
