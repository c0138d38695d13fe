//! The quorum certificate: a manifest with the signatures of enough validators.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::validator_set::ValidatorSet;
use crate::objects::{Lineage, MAX_PEERS, Manifest, ManifestError};
use crate::primitives::{Digest, Domain, Fields, Keypair, PeerId, Round, RunId, Signature};

const MAGIC: [u8; 4] = *b"CVCT";
const VERSION: u16 = 1;
const SIGNATURE_LENGTH: usize = 32 + 64;

/// The object under the manifest key of a round: the manifest and the signatures of validators.
///
/// All validators sign the same bytes, the run ID and the digest of the manifest, in the domain of
/// votes.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    manifest: Manifest,
    signatures: BTreeMap<PeerId, Signature>,
}

impl Certificate {
    /// A certificate of these validators. Nothing is checked.
    pub fn new(manifest: Manifest, signatures: BTreeMap<PeerId, Signature>) -> Self {
        Self { manifest, signatures }
    }

    /// Signs a manifest as a validator.
    pub fn sign(manifest: &Manifest, run: RunId, validator: &Keypair) -> Signature {
        validator.sign(Domain::Vote, &message(run, &manifest.to_bytes()))
    }

    /// Returns true if this is the signature of `validator` under a manifest.
    pub fn is_signed(
        manifest: &Manifest,
        run: RunId,
        validator: PeerId,
        signature: &Signature,
    ) -> bool {
        validator.verify(Domain::Vote, &message(run, &manifest.to_bytes()), signature)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The signatures, by validator.
    pub fn signatures(&self) -> &BTreeMap<PeerId, Signature> {
        &self.signatures
    }

    /// The longest encoding in bytes.
    pub(crate) fn max_length() -> u64 {
        // 10 bytes of magic, version and count.
        Manifest::max_length(MAX_PEERS) + (10 + ValidatorSet::MAX * SIGNATURE_LENGTH) as u64
    }

    /// The canonical encoding.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((self.signatures.len() as u32).to_le_bytes());
        for (validator, signature) in &self.signatures {
            bytes.extend(validator.as_bytes());
            bytes.extend(signature.as_bytes());
        }
        bytes.extend(self.manifest.to_bytes());
        bytes.into()
    }

    /// Parses the canonical encoding. Signatures are not verified, see [`open`](Self::open).
    ///
    /// # Errors
    /// The first error in these bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut fields = Fields::of(bytes);
        if fields.take() != Some(MAGIC) || fields.u16() != Some(VERSION) {
            return Err(malformed("not a certificate of a known version"));
        }
        let count = fields.u32().map_or(0, |count| count as usize);
        // Before anything is allocated: the count comes from untrusted bytes.
        if count > ValidatorSet::MAX || fields.left() < count * SIGNATURE_LENGTH {
            return Err(malformed("signatures are cut, or more than a run has validators"));
        }
        let signatures = signatures(&mut fields, count)
            .ok_or(malformed("signers are not in ascending order"))?;
        let manifest = Manifest::parse(&bytes[bytes.len() - fields.left()..])?;
        Ok(Self { manifest, signatures })
    }

    /// Parses and verifies the certificate of `round`: signatures of enough validators of the run,
    /// and the previous lineage if it is given.
    ///
    /// # Errors
    /// The first error in it.
    pub fn open(
        object: &[u8],
        run: RunId,
        validator_set: &ValidatorSet,
        round: Round,
        previous: Option<Lineage>,
    ) -> Result<Self, ManifestError> {
        let certificate = Self::parse(object)?;
        let (manifest, got) = (&certificate.manifest, certificate.manifest.round());
        if got != round {
            return Err(ManifestError::WrongRound { expected: round, got });
        }
        // Before the lineage, so `WrongPrevious` means that validators signed a wrong lineage, and
        // not that an unsigned object is in the way.
        certificate.check_signatures(run, validator_set)?;
        match previous {
            Some(expected) if expected != manifest.previous() => {
                Err(ManifestError::WrongPrevious { round, expected, got: manifest.previous() })
            }
            _ => Ok(certificate),
        }
    }

    /// Checks that all signatures are valid and of validators, and that there are enough.
    fn check_signatures(
        &self,
        run: RunId,
        validator_set: &ValidatorSet,
    ) -> Result<(), ManifestError> {
        let (round, message) = (self.manifest.round(), message(run, &self.manifest.to_bytes()));
        for (signer, signature) in &self.signatures {
            let signer = *signer;
            // One bad signature refuses the object: an honest proposer stores only valid ones.
            if !validator_set.contains(signer) {
                return Err(ManifestError::UnknownPeer { round, signer });
            }
            if !signer.verify(Domain::Vote, &message, signature) {
                return Err(ManifestError::BadSignature { round, signer });
            }
        }
        let (expected, got) = (validator_set.threshold(), self.signatures.len());
        if got < expected {
            return Err(ManifestError::TooFew { round, expected, got });
        }
        Ok(())
    }
}

fn malformed(reason: &'static str) -> ManifestError {
    ManifestError::Malformed { reason }
}

/// The signed bytes. With the run ID, a signature is void in another run.
fn message(run: RunId, manifest: &[u8]) -> Vec<u8> {
    [run.digest().as_bytes().as_slice(), Digest::of(manifest).as_bytes()].concat()
}

/// Reads `count` signatures, or returns `None` if their validators do not ascend strictly.
fn signatures(fields: &mut Fields<'_>, count: usize) -> Option<BTreeMap<PeerId, Signature>> {
    let mut list: Vec<(PeerId, Signature)> = Vec::with_capacity(count);
    for _ in 0..count {
        let validator = PeerId::from_bytes(fields.take()?);
        if list.last().is_some_and(|(last, _)| *last >= validator) {
            return None;
        }
        list.push((validator, Signature::from_bytes(fields.take()?)));
    }
    Some(list.into_iter().collect())
}
