//! The reasons for which an envelope is refused.

use super::envelope::Kind;
use crate::objects::lineage::Lineage;
use crate::primitives::{Digest, PeerId, Round, RunId};

/// The one thing that is wrong with an envelope. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum EnvelopeError {
    /// Something else lies under the key.
    #[error("object is no envelope")]
    NotAnEnvelope,

    /// Shorter than any envelope.
    #[error("object ends within the header, at {got} of {expected} bytes")]
    HeaderCut { expected: usize, got: usize },

    /// Written by another release.
    #[error("envelope has version {got}, this build reads {expected}")]
    UnknownVersion { expected: u16, got: u16 },

    /// A kind that this version does not have.
    #[error("envelope has unknown kind {code}")]
    UnknownKind { code: u16 },

    /// Made for another run.
    #[error("envelope of {} belongs to run {got}, not {expected}", peer.short())]
    WrongRun { peer: PeerId, expected: RunId, got: RunId },

    /// Not what its key says it is.
    #[error("envelope of {} holds a {got}, not a {expected}", peer.short())]
    WrongKind { peer: PeerId, expected: Kind, got: Kind },

    /// Made for another round.
    #[error("envelope of {} belongs to {got}, not {expected}", peer.short())]
    WrongRound { peer: PeerId, expected: Round, got: Round },

    /// Made from other weights than this round's.
    #[error("envelope of {} starts from lineage {got}, but {round} starts from {expected}", peer.short())]
    WrongBase { peer: PeerId, round: Round, expected: Lineage, got: Lineage },

    /// Lies under the key of another peer.
    #[error("envelope of {} lies under the key of {}", got.short(), expected.short())]
    WrongPeer { expected: PeerId, got: PeerId },

    /// Written by nobody who takes part.
    #[error("peer {} is not a member of the run", peer.short())]
    UnknownPeer { peer: PeerId },

    /// Not signed by the peer that it names, or changed since.
    #[error("signature does not match peer {}", peer.short())]
    BadSignature { peer: PeerId },

    /// Announces more than the run allows; no payload was read.
    #[error("envelope of {} announces {announced} bytes, limit is {limit}", peer.short())]
    TooLarge { peer: PeerId, announced: u64, limit: u64 },

    /// The payload ends early.
    #[error("payload of {} ends at {got} of {expected} bytes", peer.short())]
    Truncated { peer: PeerId, expected: u64, got: u64 },

    /// More follows than was announced.
    #[error("payload of {} has {got} bytes, announced were {expected}", peer.short())]
    TrailingBytes { peer: PeerId, expected: u64, got: u64 },

    /// The payload is not the one that was signed.
    #[error("payload of {} has digest {got}, signed was {expected}", peer.short())]
    Damaged { peer: PeerId, expected: Digest, got: Digest },

    /// The same peer said something else under the same name before.
    #[error("peer {} sent a second {kind} for {round}: {second} after {first}", peer.short())]
    Replayed { peer: PeerId, round: Round, kind: Kind, first: Digest, second: Digest },
}

impl EnvelopeError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownVersion { .. } | Self::UnknownKind { .. } => {
                "all peers of a run need the same release"
            }
            Self::WrongRun { .. } => {
                "compare the bucket's address with the one that the run was announced with"
            }
            Self::WrongBase { .. } | Self::WrongRound { .. } => {
                "rejoin, so that the peer catches up with the run"
            }
            Self::UnknownPeer { .. } => "a peer has to register before it takes part",
            Self::TooLarge { .. } => "compare the peer's configuration with the run's",
            Self::Truncated { .. } | Self::Damaged { .. } | Self::HeaderCut { .. } => {
                "fetch it again; if it stays so, its peer has to answer for it"
            }
            Self::Replayed { .. } => "check that no second process uses the peer's key",
            _ => return None,
        };
        Some(text.into())
    }

    /// Whether another download may bring the very object that this one should have been.
    pub fn may_be_transit(&self) -> bool {
        matches!(
            self,
            Self::NotAnEnvelope
                | Self::HeaderCut { .. }
                | Self::BadSignature { .. }
                | Self::Truncated { .. }
                | Self::TrailingBytes { .. }
                | Self::Damaged { .. }
        )
    }
}
