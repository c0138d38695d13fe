//! The family of errors of this crate under one name, for whoever does not need to tell them apart.

use crate::bucket::BucketError;
use crate::chain::BrokenChain;
use crate::envelope_error::EnvelopeError;
use crate::key_file::IdentityError;
use crate::layout::UnknownKey;
use crate::manifest::ManifestError;

/// Whatever can go wrong between peers; each kind keeps its own message and its own reasons.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommsError {
    /// A bucket did not do what was asked.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A key file is wrong.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An envelope is refused.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A manifest is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The run's history does not hold.
    #[error(transparent)]
    Chain(#[from] BrokenChain),
    /// A name that is no key.
    #[error(transparent)]
    Key(#[from] UnknownKey),
}

impl CommsError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Bucket(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::Envelope(error) => error.hint(),
            Self::Manifest(error) => error.hint(),
            Self::Chain(error) => error.hint(),
            Self::Key(_) => None,
        }
    }
}
