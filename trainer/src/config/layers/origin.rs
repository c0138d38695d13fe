//! Where a value of the configuration was said.

use std::fmt;
use std::path::PathBuf;

/// The place that a value came from, as a person would look for it.
///
/// The order is that in which problems are listed: the file from top to
/// bottom, then what was said elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of a TOML file, counted from 1.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// Its line.
        line: usize,
    },
    /// An environment variable, by name.
    Environment(String),
    /// A flag of its own, such as `--steps`.
    Flag(String),
    /// `--set KEY=VALUE`.
    Set,
    /// A built-in preset, by name.
    Preset(String),
    /// The default of the key, fixed or derived from other keys.
    Default,
}

impl Origin {
    /// Whether a person wrote the value, as opposed to a preset or a default.
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
