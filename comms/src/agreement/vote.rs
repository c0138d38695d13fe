//! What a validator says of another's verdict.

use bytes::Bytes;

use crate::primitives::Signature;

/// The longest reason in bytes.
const MAX_REASON: usize = 1024;

/// The payload of an envelope of kind [`Kind::Vote`](crate::objects::envelope::Kind::Vote).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vote {
    /// It came to the same conclusion, and signs the manifest that follows.
    Agrees(Signature),
    /// It did not.
    Refuses {
        /// The first difference, for people.
        reason: String,
    },
}

impl Vote {
    /// The longest payload in bytes.
    pub(crate) const MAX_LENGTH: u64 = 1 + MAX_REASON as u64;

    /// A refusal; what is too long is cut.
    pub fn rejection(reason: &str) -> Self {
        let end = (0..=reason.len().min(MAX_REASON))
            .rev()
            .find(|end| reason.is_char_boundary(*end))
            .unwrap_or(0);
        Self::Refuses { reason: reason[..end].into() }
    }

    /// The one encoding of this vote.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Agrees(signature) => [&[1], signature.as_bytes().as_slice()].concat().into(),
            Self::Refuses { reason } => [&[0], reason.as_bytes()].concat().into(),
        }
    }

    /// Reads the encoding back; nothing for any other bytes.
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
            panic!("it is a refusal")
        };
        assert_eq!(reason.len(), MAX_REASON);
    }
}
