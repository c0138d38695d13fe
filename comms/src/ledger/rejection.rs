//! The reasons why an entry of a ledger has no effect.

use crate::primitives::{Digest, PeerId, Round, RunId};

/// Content that another party wrote, after all checks: the content, or why all readers skip it.
///
/// The error side depends on the content alone, so all readers agree on it. A failure of the
/// backend is a [`LedgerError`](super::LedgerError) instead: it may differ between two readers and
/// pass with time. The two are kept apart, because a reader that took an outage for an invalid
/// entry would compute another state than everyone else.
pub type Verified<T> = Result<T, Rejection>;

/// The first rule that an entry breaks.
///
/// All readers skip the entry and continue with the next one. The first eight concern the object
/// and its position, the others concern the operation in the state at that position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum Rejection {
    /// Larger than any entry; the body is not downloaded. In bytes.
    #[error("{got} bytes exceed the limit of {limit}")]
    TooLarge { got: u64, limit: u64 },
    /// Not JSON, or not the fields of an entry.
    #[error("cannot be parsed: {reason}")]
    NotReadable { reason: String },
    /// Written by a release with another entry format.
    #[error("version {got} is not supported, this build reads version {expected}")]
    UnknownVersion { expected: u16, got: u16 },
    /// The right content in other bytes than the canonical encoding.
    #[error("not in canonical form")]
    NotCanonical,
    /// Copied from another run.
    #[error("belongs to run {got}, not {expected}")]
    OtherRun { expected: RunId, got: RunId },
    /// Moved or repeated.
    #[error("signed as number {got}, expected {expected}")]
    WrongNumber { expected: u64, got: u64 },
    /// An earlier entry was changed, removed or inserted after this one was signed.
    #[error("signed after {got}, expected {expected}")]
    WrongPredecessor { expected: Digest, got: Digest },
    /// Changed after signing, or never signed by its author.
    #[error("the signature of {} is not valid", author.short())]
    BadSignature { author: PeerId },

    /// A rotation without the signature of the new key, or another operation with a second one.
    #[error("a rotation needs the signature of the new key, other operations must not have it")]
    NoConsent,
    /// A URL that other peers cannot reach, or one that contains access keys.
    #[error("the bucket URL is not accepted: {reason}")]
    Bucket { reason: String },
    /// A validator set with an impossible size or threshold.
    #[error("{reason}")]
    InvalidValidatorSet { reason: String },
    /// Registered twice.
    #[error("{} is already registered", peer.short())]
    AlreadyRegistered { peer: PeerId },
    /// An operation that only registered peers can perform.
    #[error("{} is not registered", peer.short())]
    NotRegistered { peer: PeerId },
    /// A key that was rotated away stays invalid.
    #[error("{} was replaced by another key", peer.short())]
    RotatedAway { peer: PeerId },
    /// A rotation to a key that the ledger has seen before.
    #[error("{} was used in this ledger before", peer.short())]
    KeyInUse { peer: PeerId },
    /// Validators change by a vote on the validator set, not by a rotation.
    #[error("{} is the key of a validator and cannot rotate", peer.short())]
    ValidatorKey { peer: PeerId },
    /// An operation that only validators can perform.
    #[error("{} is not a validator", peer.short())]
    NotValidator { peer: PeerId },
    /// A second statement of a validator on one round.
    #[error("{} already posted on {round}", validator.short())]
    AlreadyPosted { validator: PeerId, round: Round },
    /// A vote for another generation of the validator set than the next one.
    #[error("votes for generation {got} of the validator set, the next one is {expected}")]
    WrongGeneration { expected: u64, got: u64 },
}

impl Rejection {
    /// Advice for the author of the entry.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::UnknownVersion { .. } => "use the same release on all peers of the run",
            Self::OtherRun { .. } => "compare the address of the ledger with the announced one",
            Self::Bucket { .. } => "announce s3://bucket/prefix?endpoint=… without access keys",
            Self::AlreadyRegistered { .. } => "change the key with `covey peer rotate`",
            Self::NotRegistered { .. } => "register with `covey peer register`",
            Self::RotatedAway { .. } | Self::KeyInUse { .. } => "create a new key and use it",
            Self::ValidatorKey { .. } => "let the validators vote for a set with the new key",
            Self::WrongGeneration { .. } => "read the current validator set and vote again",
            // The others show a damaged or foreign entry, which its author cannot repair.
            _ => return None,
        };
        Some(text.into())
    }
}
