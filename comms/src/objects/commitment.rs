//! The commitment to a delta, published before any delta of the round is revealed.

use bytes::Bytes;

use super::manifest::DeltaRef;
use crate::primitives::{Digest, Fields};

/// Digest and length of a delta that its peer has not revealed: the payload of an envelope of kind
/// [`Kind::Commitment`](crate::objects::envelope::Kind::Commitment).
///
/// A committed peer cannot change its delta; a peer that has not committed cannot copy a revealed
/// one.
pub(crate) type Commitment = DeltaRef;

impl DeltaRef {
    /// Length on the wire in bytes.
    pub(crate) const LENGTH: usize = 32 + 8;

    /// The reference of a delta with this payload.
    pub fn of(payload: &[u8]) -> Self {
        Self { digest: Digest::of(payload), length: payload.len() as u64 }
    }

    /// The canonical encoding: digest, then length.
    pub(crate) fn to_bytes(self) -> Bytes {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend(self.digest.as_bytes());
        bytes.extend(self.length.to_le_bytes());
        bytes.into()
    }

    /// Reads a reference from the front of `fields`.
    pub(crate) fn cut(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { digest: Digest::from_bytes(fields.take()?), length: fields.u64()? })
    }

    /// Parses the payload of a commitment.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(payload);
        Self::cut(&mut fields).filter(|_| fields.left() == 0)
    }
}
