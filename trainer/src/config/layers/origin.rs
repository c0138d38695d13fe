//! The place where a value of the configuration was written.

use std::fmt;
use std::path::PathBuf;

/// The place of a value, as a user would look for it.
// The order of the variants is the order of problems in a message: the file from top to bottom,
// then the other places.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of a TOML file, counted from 1.
    File {
        /// The file, as the user named it.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable, by name.
    Environment(String),
    /// A flag such as `--steps`.
    Flag(String),
    /// `--set KEY=VALUE`.
    Set,
    /// A built-in preset, by name.
    Preset(String),
    /// The default of the key, constant or derived from other keys.
    Default,
}

impl Origin {
    /// Returns true if a user wrote the value, and not a preset or default.
    pub fn is_written(&self) -> bool {
        !matches!(self, Self::Preset(_) | Self::Default)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Environment(name) | Self::Flag(name) => formatter.write_str(name),
            Self::Set => formatter.write_str("--set"),
            Self::Preset(name) => write!(formatter, "preset {name}"),
            Self::Default => formatter.write_str("default"),
        }
    }
}
