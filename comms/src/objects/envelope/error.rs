//! The reasons for which an envelope is rejected.

use super::header::Kind;
use crate::objects::lineage::Lineage;
use crate::primitives::{Digest, PeerId, Round, RunId};

/// The first problem found in an envelope. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum EnvelopeError {
    /// The object is not an envelope.
    #[error("object is not an envelope")]
    NotAnEnvelope,

    /// The object is shorter than a header.
    #[error("object ends within the header, at {got} of {expected} bytes")]
    HeaderCut { expected: usize, got: usize },

    /// Written by another release.
    #[error("envelope has version {got}, this build reads {expected}")]
    UnknownVersion { expected: u16, got: u16 },

    /// A kind that this version does not have.
    #[error("envelope has unknown kind {code}")]
    UnknownKind { code: u16 },

    /// The envelope belongs to another run.
    #[error("envelope of {} belongs to run {got}, not {expected}", peer.short())]
    WrongRun { peer: PeerId, expected: RunId, got: RunId },

    /// The kind is not that of the key.
    #[error("envelope of {} holds a {got}, not a {expected}", peer.short())]
    WrongKind { peer: PeerId, expected: Kind, got: Kind },

    /// The envelope belongs to another round.
    #[error("envelope of {} belongs to {got}, not {expected}", peer.short())]
    WrongRound { peer: PeerId, expected: Round, got: Round },

    /// The payload was made from other weights than this round's.
    #[error(
        "envelope of {} starts from lineage {got}, but {round} starts from {expected}",
        peer.short()
    )]
    WrongBase { peer: PeerId, round: Round, expected: Lineage, got: Lineage },

    /// The author is not the owner of the key.
    #[error("envelope of {} lies under the key of {}", got.short(), expected.short())]
    WrongPeer { expected: PeerId, got: PeerId },

    /// The author is not an allowed one.
    #[error("peer {} is not a member of the run", peer.short())]
    UnknownPeer { peer: PeerId },

    /// The signature is invalid, or the header was changed.
    #[error("signature does not match peer {}", peer.short())]
    BadSignature { peer: PeerId },

    /// The announced payload exceeds the limit. It was not read.
    #[error("envelope of {} announces {announced} bytes, limit is {limit}", peer.short())]
    TooLarge { peer: PeerId, announced: u64, limit: u64 },

    /// The payload ends early.
    #[error("payload of {} ends at {got} of {expected} bytes", peer.short())]
    Truncated { peer: PeerId, expected: u64, got: u64 },

    /// The payload is longer than announced.
    #[error("payload of {} has {got} bytes, announced were {expected}", peer.short())]
    TrailingBytes { peer: PeerId, expected: u64, got: u64 },

    /// The payload is not the signed one.
    #[error("payload of {} has digest {got}, signed was {expected}", peer.short())]
    Damaged { peer: PeerId, expected: Digest, got: Digest },

    /// The author sent another payload for the same round and kind before.
    #[error("peer {} sent a second {kind} for {round}: {second} after {first}", peer.short())]
    Replayed { peer: PeerId, round: Round, kind: Kind, first: Digest, second: Digest },
}

impl EnvelopeError {
    /// Advice for the user, if there is any.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownVersion { .. } | Self::UnknownKind { .. } => {
                "all peers of a run need the same release"
            }
            Self::WrongRun { .. } => "compare the URL of the bucket with the announced one",
            Self::WrongBase { .. } | Self::WrongRound { .. } => {
                "restart the peer; it catches up with the run"
            }
            Self::UnknownPeer { .. } => "a peer has to register before it takes part",
            Self::TooLarge { .. } => "compare the peer's configuration with the run's",
            Self::Truncated { .. } | Self::Damaged { .. } | Self::HeaderCut { .. } => {
                "download it again; if the error remains, report its peer"
            }
            Self::Replayed { .. } => "check that no second process uses the peer's key",
            _ => return None,
        };
        Some(text.into())
    }

    /// Returns true if the object may have been damaged in transit, so another download may
    /// succeed.
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
