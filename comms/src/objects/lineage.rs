//! The lineage: a digest over the whole history that led to the shared weights.

use std::fmt;
use std::str::FromStr;

use super::outer_settings::OuterSettings;
use crate::primitives::{Digest, NotHex, PeerId, Round, RunId, hex};

/// The history of the weights at the start of a round, as one digest.
///
/// Peers with the same lineage applied the same deltas in the same order with the same outer
/// settings from the same genesis weights, so they hold the same bits. `docs/protocol.md` specifies
/// the hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage(Digest);

impl Lineage {
    /// The lineage of a run's genesis weights.
    pub fn genesis(run: RunId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("covey lineage 1 genesis");
        hasher.update(run.digest().as_bytes());
        Self::finish(&hasher)
    }

    /// The lineage after `round`, in which the deltas of `included` were applied to weights of this
    /// lineage.
    ///
    /// `included` is in ascending order of peers. A round that includes no delta changes the
    /// lineage as well.
    pub fn after<'peers>(
        self,
        round: Round,
        included: impl ExactSizeIterator<Item = (&'peers PeerId, &'peers Digest)>,
        outer: &OuterSettings,
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("covey lineage 1 round");
        hasher.update(self.0.as_bytes());
        hasher.update(&round.0.to_le_bytes());
        hasher.update(&outer.to_bytes());
        hasher.update(&(included.len() as u64).to_le_bytes());
        for (peer, digest) in included {
            hasher.update(peer.as_bytes());
            hasher.update(digest.as_bytes());
        }
        Self::finish(&hasher)
    }

    fn finish(hasher: &blake3::Hasher) -> Self {
        Self(Digest::from_bytes(hasher.finalize().into()))
    }

    /// A lineage with a known digest.
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

hex::written_as_text!(Lineage);

impl FromStr for Lineage {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        text.parse().map(Self)
    }
}
