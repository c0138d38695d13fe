//! Why a configuration cannot be used.

use std::io;
use std::path::PathBuf;

use super::problem::Problems;
use crate::system::error::Hint;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file does not exist.
    #[error("config file {} does not exist", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },

    /// The system refused to read the file.
    #[error("config file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },

    /// The file is not text.
    #[error(
        "config file {} is not UTF-8 text, line {line} is the first that is not",
        path.display()
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// First line with bytes that are not UTF-8.
        line: usize,
    },

    // Only the first mistake: after it, the parser would report consequences of it.
    /// The file is text but not TOML; none of it is used.
    #[error("config file {} is not TOML: line {line}, column {column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line of the first mistake.
        line: usize,
        /// Column of the first mistake, in characters.
        column: usize,
        /// The message of the parser.
        message: String,
    },

    /// Keys or values that break a rule, all of them.
    #[error("{0}")]
    Problems(Problems),
}

impl Hint for ConfigError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } => {
                "check the path, or create a file with `covey config show > run.toml`"
            }
            Self::Unreadable { .. } => "check that it is a file and that you may read it",
            Self::NotText { .. } => "save the file as UTF-8",
            Self::Syntax { .. } => {
                "put text in double quotes; compare with the output of `covey config show`"
            }
            // The list of keys does not help with the name of a preset.
            Self::Problems(problems)
                if problems.iter().all(|problem| problem.key == "model.preset") =>
            {
                "`covey config presets` lists the presets with their sizes"
            }
            Self::Problems(_) => {
                "`covey config keys` lists every key with its meaning, unit and default"
            }
        };
        Some(hint.to_owned())
    }

    fn is_usage(&self) -> bool {
        true
    }
}
