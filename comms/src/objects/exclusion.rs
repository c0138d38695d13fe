//! The reasons for which a delta is excluded from a round.

use std::fmt;

use crate::objects::envelope::EnvelopeError;
use crate::primitives::hex;

/// The reason in a manifest for excluding a peer. Codes never change: manifests of old rounds are
/// read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Exclusion {
    /// No delta was delivered.
    Missing = 1,
    /// Delivered after the deadline.
    Late = 2,
    /// Larger than the run allows.
    TooLarge = 3,
    /// Not signed by its peer.
    BadSignature = 4,
    /// Trained for another run.
    WrongRun = 5,
    /// Trained for another round, or not a delta.
    WrongRound = 6,
    /// Trained from other weights.
    WrongBase = 7,
    /// The peer delivered two different deltas.
    Replayed = 8,
    /// Not the signed bytes.
    Damaged = 9,
    /// Not a delta that can be decoded for this model.
    Malformed = 10,
    /// Contains values that are not finite.
    NotFinite = 11,
    /// Not an active peer of the run.
    UnknownPeer = 12,
    /// Scored too low.
    Judged = 13,
    /// Not needed: the round was full.
    Surplus = 14,
    /// Not active yet: the peer has a slot from the next round on.
    Newcomer = 15,
    /// Committed in time, but not revealed.
    Withheld = 16,
    /// Not the committed delta.
    Mismatched = 17,
    /// Raises the loss.
    Harmful = 18,
    /// Too similar to another peer's delta.
    Copied = 19,
    /// The score is too low, or the peer is on probation and its delta was not measured.
    Unproven = 20,
    /// Banned for a number of rounds.
    Banned = 21,
    /// The norm is far above or below that of other deltas.
    Outsized = 22,
}

impl Exclusion {
    const ALL: [(Self, &str); 22] = [
        (Self::Missing, "missing"),
        (Self::Late, "late"),
        (Self::TooLarge, "too large"),
        (Self::BadSignature, "bad signature"),
        (Self::WrongRun, "wrong run"),
        (Self::WrongRound, "wrong round"),
        (Self::WrongBase, "wrong base"),
        (Self::Replayed, "replayed"),
        (Self::Damaged, "damaged"),
        (Self::Malformed, "malformed"),
        (Self::NotFinite, "not finite"),
        (Self::UnknownPeer, "unknown peer"),
        (Self::Judged, "judged"),
        (Self::Surplus, "surplus"),
        (Self::Newcomer, "newcomer"),
        (Self::Withheld, "withheld"),
        (Self::Mismatched, "mismatched"),
        (Self::Harmful, "harmful"),
        (Self::Copied, "copied"),
        (Self::Unproven, "unproven"),
        (Self::Banned, "banned"),
        (Self::Outsized, "outsized"),
    ];

    /// Returns true if no delta of the peer arrived in time.
    pub fn is_silence(self) -> bool {
        // Silence costs a slot after some rounds, but no trust: home lines fail.

        matches!(self, Self::Missing | Self::Late | Self::Withheld)
    }

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The reason with this number, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().map(|(reason, _)| reason).find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .into_iter()
            .find(|(reason, _)| reason == self)
            .map_or("unnamed", |(_, name)| name);
        formatter.write_str(name)
    }
}

/// A text that is not a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reason for leaving a peer out")]
pub struct UnknownReason;

impl std::str::FromStr for Exclusion {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL
            .into_iter()
            .find(|(_, name)| *name == text)
            .map(|(reason, _)| reason)
            .ok_or(UnknownReason)
    }
}

hex::written_as_text!(Exclusion);

impl From<&EnvelopeError> for Exclusion {
    fn from(error: &EnvelopeError) -> Self {
        match error {
            EnvelopeError::WrongRun { .. } => Self::WrongRun,
            EnvelopeError::WrongRound { .. } | EnvelopeError::WrongKind { .. } => Self::WrongRound,
            EnvelopeError::WrongBase { .. } => Self::WrongBase,
            EnvelopeError::BadSignature { .. } | EnvelopeError::WrongPeer { .. } => {
                Self::BadSignature
            }
            EnvelopeError::UnknownPeer { .. } => Self::UnknownPeer,
            EnvelopeError::TooLarge { .. } => Self::TooLarge,
            EnvelopeError::Replayed { .. } => Self::Replayed,
            EnvelopeError::Truncated { .. }
            | EnvelopeError::TrailingBytes { .. }
            | EnvelopeError::Damaged { .. }
            | EnvelopeError::HeaderCut { .. }
            | EnvelopeError::NotAnEnvelope => Self::Damaged,
            EnvelopeError::UnknownVersion { .. } | EnvelopeError::UnknownKind { .. } => {
                Self::Malformed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_code_and_one_name() {
        for code in 0..=u8::MAX {
            match Exclusion::from_code(code) {
                Some(reason) => {
                    assert_eq!(reason.code(), code);
                    assert_eq!(reason.to_string().parse(), Ok(reason));
                }
                None => assert!(code == 0 || code as usize > Exclusion::ALL.len()),
            }
        }
        let names: std::collections::BTreeSet<_> =
            Exclusion::ALL.map(|(reason, _)| reason.to_string()).into();
        assert_eq!(names.len(), Exclusion::ALL.len());
    }
}
