//! The errors of this crate as one type, for callers that do not need to distinguish them.

use std::time::Duration;

use super::clock_skew::apart;
use super::description::DescriptionError;
use crate::agreement::BrokenChain;
use crate::bucket::BucketError;
use crate::gauntlet::scoring::EvaluatorError;
use crate::objects::envelope::EnvelopeError;
use crate::objects::{CheckpointFormatError, ManifestError, UnknownKey};
use crate::primitives::{Digest, IdentityError, PeerId, Round, RunId, Timestamp};

/// An error between peers, buckets and validators. Each variant has its own message and its own
/// fields.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum CommsError {
    /// The bucket failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A key file is invalid.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An envelope is invalid.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A manifest is invalid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The history of the run is broken.
    #[error(transparent)]
    Chain(#[from] BrokenChain),
    /// A name is not a key of the bucket's layout.
    #[error(transparent)]
    Key(#[from] UnknownKey),
    /// The run's description is invalid.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// A checkpoint's description is invalid.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointFormatError),

    /// The bucket is empty, or used for something else.
    #[error("bucket holds no run")]
    NoRun,
    /// The bucket holds another run.
    #[error("bucket holds run {got}, not {expected}")]
    OtherRun { expected: RunId, got: RunId },
    /// The run's description does not list this part.
    #[error("the run has no part `{name}`")]
    UnknownPart { name: String },
    /// A part that the run's description lists is missing in the call.
    #[error("part `{name}` of the run's description was not given")]
    PartNotGiven { name: String },
    /// Content does not match its digest.
    #[error("{what} has digest {got}, not {expected}")]
    WrongContent { what: String, expected: Digest, got: Digest },
    /// Content does not have its announced length in bytes.
    #[error("{what} has {got} bytes, not {expected}")]
    WrongLength { what: String, expected: u64, got: u64 },
    /// The delta was removed: all kept checkpoints are newer.
    #[error("the delta of {} for {round} was removed from the bucket", peer.short())]
    DeltaGone { round: Round, peer: PeerId },
    /// The checkpoint was removed since it was listed.
    #[error("the checkpoint of {round} was removed from the bucket")]
    CheckpointGone { round: Round },
    /// A key of this peer holds an object that this peer did not write.
    #[error("{what} already holds an object of another author")]
    Taken { what: String },
    /// The peer uses its own bucket, and this reader has no opener for it.
    #[error("cannot open the bucket of peer {} at {url}", peer.short())]
    CannotOpenBucket { peer: PeerId, url: String },
    /// The peer's own bucket cannot be opened or read.
    #[error("cannot read from the bucket of peer {}", peer.short())]
    BucketUnreachable {
        peer: PeerId,
        #[source]
        source: BucketError,
    },
    /// The identity is not in the validator set.
    #[error("{} is not a validator of the run", got.short())]
    NotValidator { got: PeerId },
    /// The verdict is not the one that its manifest names, or cannot be parsed.
    #[error("the verdict of {round} is rejected: {reason}")]
    Verdict { round: Round, reason: String },
    /// This machine failed to measure a delta.
    #[error("deltas of {round} cannot be measured on this machine")]
    Examination { round: Round, source: EvaluatorError },
    /// This machine's clock and the store's differ too much.
    #[error(
        "the clocks of this machine and of the store differ by {} s, the limit is {} s",
        apart(ours, theirs).as_secs(),
        limit.as_secs()
    )]
    ClockSkew { ours: Timestamp, theirs: Timestamp, limit: Duration },
}

impl CommsError {
    /// Advice for the user, if there is any.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Bucket(error) => return error.hint(),
            Self::Identity(error) => return error.hint(),
            Self::Envelope(error) => return error.hint(),
            Self::Manifest(error) => return error.hint(),
            Self::Chain(error) => return error.hint(),
            Self::Description(error) => return error.hint(),
            Self::Checkpoint(error) => return error.hint(),
            Self::Key(_) => return None,
            Self::NoRun => "create a run with `covey init`, or correct the URL of the bucket",
            Self::OtherRun { .. } => {
                "use another prefix of the bucket, or compare the URL with the announced one"
            }
            Self::UnknownPart { .. } => "use the release that the other peers of the run use",
            Self::PartNotGiven { .. } => "give every part that the description names",
            Self::WrongContent { .. } | Self::WrongLength { .. } => {
                "download it again; if the error remains, the object was replaced"
            }
            Self::DeltaGone { .. } => "restart from the latest checkpoint of the run",
            Self::CheckpointGone { .. } => "list the checkpoints again and use the latest",
            Self::Taken { .. } => {
                "check that no other process uses the same key file, or use a new key"
            }
            Self::CannotOpenBucket { .. } => "restart from a later checkpoint",
            Self::BucketUnreachable { .. } => {
                "try again later; the owner must allow anonymous reads"
            }
            Self::NotValidator { .. } => "use the key of a validator in the run's description",
            Self::Verdict { .. } => {
                "run `covey verify` to see the first difference, and report its validator"
            }
            Self::Examination { .. } => "restart the validator; it continues where it stopped",
            Self::ClockSkew { ours, theirs, .. } => match ours > theirs {
                true => "this machine's clock is ahead: synchronise it with a time server",
                false => "this machine's clock is behind: synchronise it with a time server",
            },
        };
        Some(text.into())
    }

    /// Returns true if the object may have been damaged in transit, so another download may
    /// succeed.
    pub fn may_be_transit(&self) -> bool {
        match self {
            Self::Envelope(error) => error.may_be_transit(),
            Self::Manifest(error) => error.may_be_transit(),
            Self::Chain(error) => error.source.may_be_transit(),
            Self::Description(
                DescriptionError::NotReadable(_) | DescriptionError::NotCanonical,
            ) => true,
            Self::WrongContent { .. } | Self::WrongLength { .. } => true,
            _ => false,
        }
    }

    /// Returns true if the same call may succeed later: the store is unavailable, or the listing
    /// was outdated.
    pub fn is_passing(&self) -> bool {
        match self {
            // `GaveUp` is the end of one retry period, not of the outage.
            Self::Bucket(error) | Self::BucketUnreachable { source: error, .. } => {
                error.is_transient() || matches!(error, BucketError::GaveUp { .. })
            }
            // The listing was outdated: the next one names a newer checkpoint.
            Self::CheckpointGone { .. } => true,
            error => error.may_be_transit(),
        }
    }

    /// Returns true if an object does not exist, or no longer.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(
            self,
            Self::Bucket(BucketError::NotFound { .. })
                | Self::DeltaGone { .. }
                | Self::CheckpointGone { .. }
        )
    }

    /// Returns true if an object exists and is not what it must be.
    ///
    /// Without a wildcard arm: a new error must be classified here before it compiles.
    pub(crate) fn is_invalid_content(&self) -> bool {
        match self {
            Self::Envelope(_)
            | Self::Manifest(_)
            | Self::Chain(_)
            | Self::Key(_)
            | Self::Description(_)
            | Self::Checkpoint(_)
            | Self::Bucket(BucketError::TooLarge { .. })
            | Self::WrongContent { .. }
            | Self::WrongLength { .. }
            | Self::Verdict { .. } => true,
            Self::Bucket(_)
            | Self::Identity(_)
            | Self::NoRun
            | Self::OtherRun { .. }
            | Self::UnknownPart { .. }
            | Self::PartNotGiven { .. }
            | Self::DeltaGone { .. }
            | Self::CheckpointGone { .. }
            | Self::Taken { .. }
            | Self::CannotOpenBucket { .. }
            | Self::BucketUnreachable { .. }
            | Self::NotValidator { .. }
            | Self::Examination { .. }
            | Self::ClockSkew { .. } => false,
        }
    }

    /// Returns true if a peer's own bucket cannot be opened or read.
    ///
    /// An outage of a peer's bucket is the peer's responsibility: it did not deliver.
    pub fn is_outage_of_peer_bucket(&self) -> bool {
        matches!(self, Self::CannotOpenBucket { .. } | Self::BucketUnreachable { .. })
    }
}
