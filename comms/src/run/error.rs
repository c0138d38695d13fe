//! The family of errors of this crate under one name, for whoever does not need to tell them apart.

use std::time::Duration;

use super::clock_skew::apart;
use super::description::DescriptionError;
use crate::agreement::BrokenChain;
use crate::bucket::BucketError;
use crate::gauntlet::scoring::EvaluatorError;
use crate::objects::envelope::EnvelopeError;
use crate::objects::{CheckpointFormatError, ManifestError, UnknownKey};
use crate::primitives::{Digest, IdentityError, PeerId, Round, RunId, Timestamp};

/// Whatever can go wrong between peers; each kind keeps its own message and its own reasons.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
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
    /// The run's description is refused.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// A checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointFormatError),

    /// An empty bucket, or one for something else.
    #[error("bucket holds no run")]
    NoRun,
    /// Somebody else's run, or an earlier one of ours.
    #[error("bucket holds run {got}, not {expected}")]
    OtherRun { expected: RunId, got: RunId },
    /// The run's description names no such part.
    #[error("the run has no part `{name}`")]
    UnknownPart { name: String },
    /// The run's description names a part that was not brought.
    #[error("part `{name}` of the run's description was not given")]
    PartNotGiven { name: String },
    /// Content that is not what its digest says.
    #[error("{what} has digest {got}, not {expected}")]
    WrongContent { what: String, expected: Digest, got: Digest },
    /// Content that is shorter or longer than announced. In bytes.
    #[error("{what} has {got} bytes, not {expected}")]
    WrongLength { what: String, expected: u64, got: u64 },
    /// Removed, because all checkpoints that are kept are newer.
    #[error("the delta of {} for {round} is gone from the bucket", peer.short())]
    DeltaGone { round: Round, peer: PeerId },
    /// Removed since it was listed, because newer ones are there.
    #[error("the checkpoint of {round} is gone from the bucket")]
    CheckpointGone { round: Round },
    /// Somebody else lies under our key.
    #[error("{what} is taken by something that we did not write")]
    Taken { what: String },
    /// The peer keeps its deltas in a bucket of its own, and nobody told how to open that.
    #[error("no way to the bucket of {} at {url}", peer.short())]
    CannotOpenBucket { peer: PeerId, url: String },
    /// A peer's own bucket cannot be opened or read.
    #[error("the bucket of {} is out of reach", peer.short())]
    BucketUnreachable {
        peer: PeerId,
        #[source]
        source: BucketError,
    },
    /// Only validators may close rounds.
    #[error("{} is no validator of the run", got.short())]
    NotValidator { got: PeerId },
    /// A verdict that its manifest does not name, or that cannot be read.
    #[error("the verdict of {round} is refused: {reason}")]
    Verdict { round: Round, reason: String },
    /// A delta could not be measured on this machine.
    #[error("deltas of {round} cannot be measured on this machine")]
    Examination { round: Round, source: EvaluatorError },
    /// Two clocks that are too far apart.
    #[error("our clock and the store's are {} s apart, limit is {} s", apart(ours, theirs).as_secs(), limit.as_secs())]
    ClockSkew { ours: Timestamp, theirs: Timestamp, limit: Duration },
}

impl CommsError {
    /// What the person at the keyboard can do, if anything.
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
            Self::NoRun => "found a run here first, or correct the bucket's address",
            Self::OtherRun { .. } => {
                "use another prefix of the bucket, or compare the address with the announced one"
            }
            Self::UnknownPart { .. } => "all peers of a run need the same release",
            Self::PartNotGiven { .. } => "give every part that the description names",
            Self::WrongContent { .. } | Self::WrongLength { .. } => {
                "fetch it again; if it stays so, it was replaced"
            }
            Self::DeltaGone { .. } => "start again from the newest checkpoint of the run",
            Self::CheckpointGone { .. } => "list the checkpoints again and take the newest",
            Self::Taken { .. } => {
                "check that no second process uses the peer's key, or take part with a new one"
            }
            Self::CannotOpenBucket { .. } => {
                "allow buckets of peers to be opened, or start again from a newer checkpoint"
            }
            Self::BucketUnreachable { .. } => {
                "try again; if it stays so, its peer must let everybody read it"
            }
            Self::NotValidator { .. } => "validate with a key that the run's description names",
            Self::Verdict { .. } => "its proposer has to answer for it",
            Self::Examination { .. } => "start the validator again; it goes on where it was",
            Self::ClockSkew { ours, theirs, .. } => match ours > theirs {
                true => "our clock is fast, or the store's slow: synchronise with a time server",
                false => "our clock is slow, or the store's fast: synchronise with a time server",
            },
        };
        Some(text.into())
    }

    /// Whether another download may bring the very object that this one should have been.
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

    /// Whether the same, begun anew, may succeed later: the store is away or was for too long, or what it showed has
    /// changed since.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Bucket(error) | Self::BucketUnreachable { source: error, .. } => {
                error.is_transient() || matches!(error, BucketError::GaveUp { .. })
            }
            Self::CheckpointGone { .. } => true,
            error => error.may_be_transit(),
        }
    }

    /// Whether it says only that an object is not there.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Bucket(BucketError::NotFound { .. }))
    }
}
