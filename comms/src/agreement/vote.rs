//! The vote of a validator on another validator's verdict.

use bytes::Bytes;

use crate::primitives::Signature;

/// The longest reason in bytes.
// A path and two values fit. The limit bounds the bytes that a reader fetches per vote.
const MAX_REASON: usize = 1024;

/// The payload of an envelope of kind [`Kind::Vote`](crate::objects::envelope::Kind::Vote).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vote {
    /// The validator computed the same outcome, and signs the manifest that follows.
    Agrees(Signature),
    /// The validator found a difference.
    Refuses {
        /// The first difference, as text for people.
        reason: String,
    },
}

impl Vote {
    /// The longest payload in bytes.
    pub(crate) const MAX_LENGTH: u64 = 1 + MAX_REASON as u64;

    /// A refusal. A longer reason is cut to 1024 bytes.
    pub fn rejection(reason: &str) -> Self {
        // Within a character, the rest would not be UTF-8 and no reader would accept the vote.
        let end = reason.floor_char_boundary(MAX_REASON);
        Self::Refuses { reason: reason[..end].into() }
    }

    /// The canonical encoding.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Agrees(signature) => [&[1], signature.as_bytes().as_slice()].concat().into(),
            Self::Refuses { reason } => [&[0], reason.as_bytes()].concat().into(),
        }
    }

    /// Parses the canonical encoding, or returns `None` for any other bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (1, signature) => Some(Self::Agrees(Signature::from_bytes(signature.try_into().ok()?))),
            (0, reason) if reason.len() <= MAX_REASON => {
                Some(Self::Refuses { reason: str::from_utf8(reason).ok()?.into() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_has_one_encoding() {
        let votes =
            [Vote::Agrees(Signature::from_bytes([7; 64])), Vote::rejection("weights: 1, not 2")];
        for vote in votes {
            assert_eq!(Vote::parse(&vote.to_bytes()), Some(vote));
        }
        for bytes in [&[][..], &[1, 2, 3], &[2], &[0, 0xff]] {
            assert_eq!(Vote::parse(bytes), None);
        }
        let Vote::Refuses { reason } = Vote::rejection(&"ü".repeat(MAX_REASON)) else {
            panic!("a rejection is a refusal")
        };
        assert_eq!(reason.len(), MAX_REASON);
    }
}
