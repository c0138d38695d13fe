//! The errors of a server at its start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The reason why a server does not start. A running server has no errors: only single requests
/// fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum ServerError {
    /// An option has an invalid value.
    #[error("{option} {reason}")]
    Option { option: &'static str, reason: String },

    /// The folder does not exist or is not writable.
    #[error("cannot serve folder {}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    /// Another server holds the lock of the folder.
    #[error("folder {} is already served by another process", path.display())]
    InUse { path: PathBuf },

    /// The address is taken, or is not an address of this machine.
    #[error("cannot listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

impl ServerError {
    /// Returns the action that resolves the error, if the user can do something.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            // The message states the rule that the value breaks.
            Self::Option { .. } => return None,
            Self::Folder { .. } => "create the folder, or give this user write permission",
            Self::InUse { .. } => "stop the other server, or serve another folder",
            Self::Bind { .. } => "choose another port, or an address of this machine",
        };
        Some(text.into())
    }
}
