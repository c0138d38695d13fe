//! Why a configuration could not be used.

use std::io;
use std::path::PathBuf;

use super::problem::Problems;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file that was named is not there.
    #[error("config file {} does not exist", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },

    /// The file is there but the system will not hand it over.
    #[error("config file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The file holds something other than text.
    #[error("config file {} is not UTF-8 text, line {line} is the first that is not", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// First line with bytes that are not UTF-8.
        line: usize,
    },

    /// The file is text but not TOML; nothing of it was used.
    #[error("config file {} is not TOML: line {line}, column {column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line of the first mistake.
        line: usize,
        /// Column of the first mistake, in characters.
        column: usize,
        /// What the parser expected.
        message: String,
    },

    /// Keys or values that are wrong, all of them at once.
    #[error("{0}")]
    Problems(Problems),
}

impl ConfigError {
    /// What the person at the keyboard can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } => {
                "check the path, or write a file to start from with `covey config show > run.toml`"
            }
            Self::Unreadable { .. } => "check that it is a file and that you may read it",
            Self::NotText { .. } => "save the file as UTF-8",
            Self::Syntax { .. } => {
                "text goes in double quotes; `covey config show` prints a whole config to compare with"
            }
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
}
