//! Why an entry of a ledger has no effect.

use crate::primitives::{Digest, PeerId, Round, RunId};

/// The first thing that is wrong with an entry. It is skipped by everybody alike, and the ledger goes on after it.
///
/// The first eight are about the object and where it stands, the others about what it says in the state that it meets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Rejection {
    /// Larger than any entry; nothing was downloaded. In bytes.
    #[error("it has {got} bytes, limit is {limit}")]
    TooLarge { got: u64, limit: u64 },
    /// Not JSON, or not of the right form.
    #[error("it cannot be read: {reason}")]
    NotReadable { reason: String },
    /// Written by another release.
    #[error("it has version {got}, this build reads {expected}")]
    UnknownVersion { expected: u16, got: u16 },
    /// The right content in other bytes than the one encoding.
    #[error("it is not in its canonical form")]
    NotCanonical,
    /// Copied from another run.
    #[error("it belongs to run {got}, not {expected}")]
    OtherRun { expected: RunId, got: RunId },
    /// Moved or repeated.
    #[error("it was signed as number {got}, but stands where {expected} should")]
    WrongNumber { expected: u64, got: u64 },
    /// Something before it was changed, taken out or put in after it was signed.
    #[error("it follows {got}, but stands after {expected}")]
    WrongPredecessor { expected: Digest, got: Digest },
    /// Changed after it was signed, or never signed by its author.
    #[error("the signature of {} does not hold", author.short())]
    BadSignature { author: PeerId },

    /// A rotation that the new key did not agree to, or an agreement without a rotation.
    #[error("it is not signed by the new key alone beside the old")]
    NoConsent,
    /// An address that others cannot reach, or that holds keys.
    #[error("its bucket is refused: {reason}")]
    Bucket { reason: String },
    /// Validators that cannot be.
    #[error("{reason}")]
    Council { reason: String },
    /// Registered twice.
    #[error("{} is registered already", peer.short())]
    AlreadyMember { peer: PeerId },
    /// Says something that only members can.
    #[error("{} is not registered", peer.short())]
    NotMember { peer: PeerId },
    /// A key that was given up never comes back.
    #[error("{} was given up for another key", peer.short())]
    GivenUp { peer: PeerId },
    /// Only a key that the ledger has never seen can be rotated to.
    #[error("{} has been used in this ledger before", peer.short())]
    KeyInUse { peer: PeerId },
    /// A validator's key changes by a vote on the validators.
    #[error("{} is a validator's key, which does not rotate", peer.short())]
    ValidatorKey { peer: PeerId },
    /// Says something that only validators can.
    #[error("{} is no validator", peer.short())]
    NotValidator { peer: PeerId },
    /// A validator says one thing about a round, once.
    #[error("{} has spoken on {round} before", validator.short())]
    AlreadySaid { validator: PeerId, round: Round },
    /// A vote on other validators than the next.
    #[error("it votes for generation {got} of validators, next is {expected}")]
    WrongGeneration { expected: u64, got: u64 },
}

impl Rejection {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownVersion { .. } => "all peers of a run need the same release",
            Self::OtherRun { .. } => "compare the ledger's address with the announced one",
            Self::Bucket { .. } => "announce s3://bucket/prefix?endpoint=…, without keys in it",
            Self::AlreadyMember { .. } => {
                "nothing is left to do; `covey peer rotate` changes the key"
            }
            Self::NotMember { .. } => "register first with `covey peer register`",
            Self::GivenUp { .. } | Self::KeyInUse { .. } => "make a new key and use that",
            Self::ValidatorKey { .. } => "let the validators vote for a set with the new key",
            Self::WrongGeneration { .. } => {
                "read the ledger again; the validators have changed meanwhile"
            }
            _ => return None,
        };
        Some(text.into())
    }
}
