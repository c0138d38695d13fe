//! The manifest of a round: which deltas are included, which are excluded and why, how they are
//! applied, and the weights that follow.
//!
//! A manifest is stored in a [`Certificate`](crate::agreement::Certificate) with the signatures of
//! the validators. It has one encoding, specified in `docs/protocol.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::exclusion::Exclusion;
use super::lineage::Lineage;
use super::outer_settings::OuterSettings;
use crate::primitives::{Digest, Fields, PeerId, Round};

const MAGIC: [u8; 4] = *b"CVMF";
const VERSION: u16 = 2;

/// Bytes of all fields except the two lists.
const FIXED_LENGTH: usize = 4 + 2 + 4 + 32 + 3 * 32 + OuterSettings::LENGTH + 4 + 4 + 32;
const INCLUSION_LENGTH: usize = 32 + DeltaRef::LENGTH;
const EXCLUSION_LENGTH: usize = 32 + 1;

/// The most peers in one manifest, included and excluded together.
pub const MAX_PEERS: usize = 65_536;

/// The reference of a delta: enough to check it, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltaRef {
    /// The digest of the payload, without the envelope.
    pub digest: Digest,
    /// The length of the payload in bytes.
    pub length: u64,
}

/// The basis of a manifest: the verdict that it follows from, and the weights that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestBasis {
    /// The validator that proposed the verdict.
    pub proposer: PeerId,
    /// The digest of the verdict's bytes.
    pub verdict: Digest,
    /// The digest of the weights after the round.
    pub weights: Digest,
}

/// The reason for which a manifest is rejected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A signer is not a validator.
    #[error("manifest of {round} is signed by {}, which is not a validator", signer.short())]
    UnknownPeer {
        /// The round.
        round: Round,
        /// The signer.
        signer: PeerId,
    },

    /// A signature is invalid.
    #[error("manifest of {round} has no valid signature of {}", signer.short())]
    BadSignature {
        /// The round.
        round: Round,
        /// The expected signer.
        signer: PeerId,
    },

    /// Fewer signatures than the run requires.
    #[error("manifest of {round} is signed by {got} validators, {expected} are required")]
    TooFew {
        /// The round.
        round: Round,
        /// The number required.
        expected: usize,
        /// The number found.
        got: usize,
    },

    /// Not the encoding of a manifest.
    #[error("manifest is malformed: {reason}")]
    Malformed {
        /// The first problem found.
        reason: &'static str,
    },

    /// The manifest of another round.
    #[error("manifest is of {got}, not of {expected}")]
    WrongRound {
        /// The requested round.
        expected: Round,
        /// The manifest's round.
        got: Round,
    },

    /// The manifest starts from another lineage than the previous round ended with.
    #[error("manifest of {round} starts from lineage {got}, not {expected}")]
    WrongPrevious {
        /// The manifest's round.
        round: Round,
        /// The lineage that the round starts from.
        expected: Lineage,
        /// The lineage that the manifest names.
        got: Lineage,
    },

    /// The stated lineage does not follow from the content.
    #[error("manifest of {round} claims lineage {got}, its content gives {expected}")]
    WrongLineage {
        /// The manifest's round.
        round: Round,
        /// The lineage of the content.
        expected: Lineage,
        /// The stated lineage.
        got: Lineage,
    },
}

impl ManifestError {
    /// Advice for the user, if there is any.
    pub fn hint(&self) -> Option<String> {
        Some("stop training and run `covey verify`: the manifest is invalid".into())
    }

    /// Returns true if the object may have been damaged in transit, so another download may
    /// succeed.
    pub fn may_be_transit(&self) -> bool {
        matches!(
            self,
            Self::Malformed { .. } | Self::WrongLineage { .. } | Self::BadSignature { .. }
        )
    }
}

/// The decision of the validators on one round.
///
/// - No peer is both included and excluded, and both together are at most [`MAX_PEERS`].
/// - The outer settings are valid.
/// - A manifest that includes no delta is a void round: the weights stay, the lineage changes.
/// - Clones share the lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    round: Round,
    previous: Lineage,
    basis: ManifestBasis,
    outer: OuterSettings,
    included: Arc<BTreeMap<PeerId, DeltaRef>>,
    excluded: Arc<BTreeMap<PeerId, Exclusion>>,
}

impl Manifest {
    /// The manifest of a round that starts from `previous`.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`] if an invariant is violated.
    pub fn new(
        round: Round,
        previous: Lineage,
        basis: ManifestBasis,
        outer: OuterSettings,
        included: BTreeMap<PeerId, DeltaRef>,
        excluded: BTreeMap<PeerId, Exclusion>,
    ) -> Result<Self, ManifestError> {
        let malformed = |reason| Err(ManifestError::Malformed { reason });
        if !outer.are_valid() {
            return malformed("outer learning rate is negative or not finite");
        }
        // The limit keeps a manifest below 5 MB, small enough for a light client on a phone line.
        if included.len() + excluded.len() > MAX_PEERS {
            return malformed("more peers than a manifest may name");
        }
        // A peer in both lists would be paid and punished for the same delta.
        if excluded.keys().any(|peer| included.contains_key(peer)) {
            return malformed("a peer is both included and excluded");
        }
        Ok(Self {
            round,
            previous,
            basis,
            outer,
            included: included.into(),
            excluded: excluded.into(),
        })
    }

    /// The round.
    pub fn round(&self) -> Round {
        self.round
    }

    /// The lineage of the weights at the start of the round.
    pub fn previous(&self) -> Lineage {
        self.previous
    }

    /// The verdict that it follows from, and the weights that it leads to.
    pub fn basis(&self) -> &ManifestBasis {
        &self.basis
    }

    /// The outer settings.
    pub fn outer(&self) -> &OuterSettings {
        &self.outer
    }

    /// The included deltas, in the order in which they are summed.
    pub fn included(&self) -> &BTreeMap<PeerId, DeltaRef> {
        &self.included
    }

    /// The excluded peers, with reasons.
    pub fn excluded(&self) -> &BTreeMap<PeerId, Exclusion> {
        &self.excluded
    }

    /// Returns true if no delta is included, so the weights stay as they are.
    pub fn is_void(&self) -> bool {
        self.included.is_empty()
    }

    /// The lineage of the weights at the end of the round.
    pub fn lineage(&self) -> Lineage {
        let deltas = self.included.iter().map(|(peer, delta_ref)| (peer, &delta_ref.digest));
        self.previous.after(self.round, deltas, &self.outer)
    }

    /// The longest manifest payload of a run with at most `peers` peers, in bytes.
    pub fn max_length(peers: usize) -> u64 {
        (FIXED_LENGTH + peers.min(MAX_PEERS) * INCLUSION_LENGTH) as u64
    }

    /// The canonical encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let lists = self.included.len() * INCLUSION_LENGTH + self.excluded.len() * EXCLUSION_LENGTH;
        let mut bytes = Vec::with_capacity(FIXED_LENGTH + lists);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.round.0.to_le_bytes());
        bytes.extend(self.previous.digest().as_bytes());
        bytes.extend(self.basis.proposer.as_bytes());
        bytes.extend(self.basis.verdict.as_bytes());
        bytes.extend(self.basis.weights.as_bytes());
        bytes.extend(self.outer.to_bytes());
        bytes.extend((self.included.len() as u32).to_le_bytes());
        bytes.extend((self.excluded.len() as u32).to_le_bytes());
        for (peer, delta_ref) in self.included.iter() {
            bytes.extend(peer.as_bytes());
            bytes.extend(delta_ref.to_bytes());
        }
        for (peer, exclusion) in self.excluded.iter() {
            bytes.extend(peer.as_bytes());
            bytes.push(exclusion.code());
        }
        bytes.extend(self.lineage().digest().as_bytes());
        bytes
    }

    /// Parses the canonical encoding. The lineage is recomputed and must be the stated one.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`] or [`ManifestError::WrongLineage`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut fields = Fields::of(bytes);
        let (manifest, got) = ManifestDecoder { fields: &mut fields }.manifest()?;
        match manifest.lineage() {
            expected if expected == got => Ok(manifest),
            expected => Err(ManifestError::WrongLineage { round: manifest.round, expected, got }),
        }
    }
}

/// The included and the excluded peers.
type ManifestLists = (BTreeMap<PeerId, DeltaRef>, BTreeMap<PeerId, Exclusion>);

/// Reads a manifest from bytes, field by field.
struct ManifestDecoder<'fields, 'bytes> {
    fields: &'fields mut Fields<'bytes>,
}

impl ManifestDecoder<'_, '_> {
    /// The manifest and the lineage that it states.
    fn manifest(mut self) -> Result<(Manifest, Lineage), ManifestError> {
        if self.fields.take() != Some(MAGIC) {
            return Err(ManifestError::Malformed { reason: "it does not begin with its magic" });
        }
        if self.fields.u16() != Some(VERSION) {
            return Err(ManifestError::Malformed { reason: "it has an unknown version" });
        }
        let round = Round(self.or_cut(|fields| fields.u32())?);
        let previous = self.lineage()?;
        let proposer = PeerId::from_bytes(self.or_cut(|fields| fields.take())?);
        let basis = ManifestBasis { proposer, verdict: self.digest()?, weights: self.digest()? };
        let outer = OuterSettings::parse(self.fields)
            .ok_or(ManifestError::Malformed { reason: "its outer settings are invalid" })?;
        let (included, excluded) = self.lists()?;
        let claimed = self.lineage()?;
        Ok((Manifest::new(round, previous, basis, outer, included, excluded)?, claimed))
    }

    fn lists(&mut self) -> Result<ManifestLists, ManifestError> {
        let num_included = self.or_cut(|fields| fields.u32())? as usize;
        let num_excluded = self.or_cut(|fields| fields.u32())? as usize;
        if num_included.saturating_add(num_excluded) > MAX_PEERS {
            return Err(ManifestError::Malformed { reason: "more peers than a manifest may name" });
        }
        // Both counts are at most `MAX_PEERS` here, so this cannot overflow. The length then
        // matches exactly.
        if self.fields.left()
            != num_included * INCLUSION_LENGTH + num_excluded * EXCLUSION_LENGTH + 32
        {
            return Err(ManifestError::Malformed { reason: "its length does not fit its counts" });
        }
        Ok((self.peers(num_included, Self::delta_ref)?, self.peers(num_excluded, Self::exclusion)?))
    }

    /// Reads a list of peers in strictly ascending order.
    fn peers<T>(
        &mut self,
        count: usize,
        value: fn(&mut Self) -> Result<T, ManifestError>,
    ) -> Result<BTreeMap<PeerId, T>, ManifestError> {
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            let peer = PeerId::from_bytes(self.or_cut(|fields| fields.take())?);
            if list.last().is_some_and(|(last, _)| *last >= peer) {
                return Err(ManifestError::Malformed {
                    reason: "its peers are not in ascending order",
                });
            }
            list.push((peer, value(self)?));
        }
        // Collecting a sorted list builds the map without comparisons per insertion.
        Ok(list.into_iter().collect())
    }

    fn delta_ref(&mut self) -> Result<DeltaRef, ManifestError> {
        self.or_cut(DeltaRef::cut)
    }

    fn exclusion(&mut self) -> Result<Exclusion, ManifestError> {
        let code = self.or_cut(|fields| fields.byte())?;
        Exclusion::from_code(code)
            .ok_or(ManifestError::Malformed { reason: "it excludes a peer for an unknown reason" })
    }

    fn digest(&mut self) -> Result<Digest, ManifestError> {
        self.or_cut(|fields| fields.take()).map(Digest::from_bytes)
    }

    fn lineage(&mut self) -> Result<Lineage, ManifestError> {
        self.digest().map(Lineage::from_digest)
    }

    fn or_cut<T>(&mut self, field: fn(&mut Fields<'_>) -> Option<T>) -> Result<T, ManifestError> {
        field(self.fields).ok_or(ManifestError::Malformed { reason: "it ends early" })
    }
}
