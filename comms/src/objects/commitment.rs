//! What a peer binds itself to before anybody may see its delta.

use bytes::Bytes;

use super::manifest::DeltaRef;
use crate::primitives::{Digest, Fields};

/// Digest and length of a delta that its peer still keeps back: the payload of an envelope of kind
/// [`Kind::Commitment`](crate::objects::envelope::Kind::Commitment).
///
/// Whoever has committed cannot change its delta any more; whoever has not cannot copy what is revealed later.
pub(crate) type Commitment = DeltaRef;

impl DeltaRef {
    /// Length on the wire.
    pub(crate) const LENGTH: usize = 32 + 8;

    /// What a delta is known by.
    pub fn of(payload: &[u8]) -> Self {
        Self { digest: Digest::of(payload), length: payload.len() as u64 }
    }

    /// The one encoding: digest, then length.
    pub(crate) fn to_bytes(self) -> Bytes {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend(self.digest.as_bytes());
        bytes.extend(self.length.to_le_bytes());
        bytes.into()
    }

    /// Cuts one off the front of `fields`.
    pub(crate) fn cut(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { digest: Digest::from_bytes(fields.take()?), length: fields.u64()? })
    }

    /// Reads the payload of a commitment back.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(payload);
        Self::cut(&mut fields).filter(|_| fields.left() == 0)
    }
}
