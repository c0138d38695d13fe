//! Everything that keeps a server from starting.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server does not start; once it runs, requests fail one by one and the server stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum ServerError {
    /// Options that no bucket can have.
    #[error("{option} {reason}")]
    Option { option: &'static str, reason: String },

    /// The folder is not there or cannot be written.
    #[error("folder {} cannot be served", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    /// Another server has the folder.
    #[error("folder {} is already served by another process", path.display())]
    InUse { path: PathBuf },

    /// The address is taken or not ours.
    #[error("no connections can be accepted at {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

impl ServerError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Option { .. } => return None,
            Self::Folder { .. } => "create the folder and let this user write it",
            Self::InUse { .. } => "stop the other server, or serve another folder",
            Self::Bind { .. } => "choose another port, or an address of this machine",
        };
        Some(text.into())
    }
}
