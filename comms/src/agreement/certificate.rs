//! A manifest with the signatures that make it count.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::validator_set::ValidatorSet;
use crate::objects::{Lineage, MAX_PEERS, Manifest, ManifestError};
use crate::primitives::{Digest, Domain, Fields, Keypair, PeerId, Round, RunId, Signature};

const MAGIC: [u8; 4] = *b"CVCT";
const VERSION: u16 = 1;
const SIGNATURE_LENGTH: usize = 32 + 64;

/// What lies under a round's manifest key: the manifest, and who agreed to it.
///
/// Every validator signs the same bytes: the run's id and the digest of the manifest, in the domain of votes.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    manifest: Manifest,
    signatures: BTreeMap<PeerId, Signature>,
}

impl Certificate {
    /// A manifest with the signatures of these validators.
    pub fn new(manifest: Manifest, signatures: BTreeMap<PeerId, Signature>) -> Self {
        Self { manifest, signatures }
    }

    /// The agreement of one validator to a manifest.
    pub fn sign(manifest: &Manifest, run: RunId, validator: &Keypair) -> Signature {
        validator.sign(Domain::Vote, &message(run, &manifest.to_bytes()))
    }

    /// Whether `validator` agreed to a manifest.
    pub fn is_signed(
        manifest: &Manifest,
        run: RunId,
        validator: PeerId,
        signature: &Signature,
    ) -> bool {
        validator.verify(Domain::Vote, &message(run, &manifest.to_bytes()), signature)
    }

    /// What was decided.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Who agreed.
    pub fn signatures(&self) -> &BTreeMap<PeerId, Signature> {
        &self.signatures
    }

    /// The largest object that can be a certificate, in bytes.
    pub(crate) fn max_length() -> u64 {
        Manifest::max_length(MAX_PEERS) + (10 + ValidatorSet::MAX * SIGNATURE_LENGTH) as u64
    }

    /// The object as it is stored.
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

    /// Reads the encoding back; signatures are not checked yet.
    ///
    /// # Errors
    /// What is wrong with these bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let malformed = |reason| ManifestError::Malformed { reason };
        let mut fields = Fields::of(bytes);
        if fields.take() != Some(MAGIC) || fields.u16() != Some(VERSION) {
            return Err(malformed("it is no certificate of a known version"));
        }
        let count = fields.u32().map_or(0, |count| count as usize);
        if count > ValidatorSet::MAX || fields.left() < count * SIGNATURE_LENGTH {
            return Err(malformed("its signatures are cut, or more than a run has validators"));
        }
        let signatures = signatures(&mut fields, count)
            .ok_or(malformed("its signers are not in ascending order"))?;
        let manifest = Manifest::parse(&bytes[bytes.len() - fields.left()..])?;
        Ok(Self { manifest, signatures })
    }

    /// Reads a stored certificate of `round`, signed by enough of the run's validators; it must start from `previous`, if that
    /// is given.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
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
        certificate.check_signatures(run, validator_set)?;
        match previous {
            Some(expected) if expected != manifest.previous() => {
                Err(ManifestError::WrongPrevious { round, expected, got: manifest.previous() })
            }
            _ => Ok(certificate),
        }
    }

    /// Refuses strangers, what does not verify, and too few.
    fn check_signatures(
        &self,
        run: RunId,
        validator_set: &ValidatorSet,
    ) -> Result<(), ManifestError> {
        let (round, message) = (self.manifest.round(), message(run, &self.manifest.to_bytes()));
        for (signer, signature) in &self.signatures {
            let signer = *signer;
            if !validator_set.contains(signer) {
                return Err(ManifestError::UnknownPeer { round, signer });
            }
            if !signer.verify(Domain::Vote, &message, signature) {
                return Err(ManifestError::BadSignature { round, signer });
            }
        }
        match (validator_set.threshold(), self.signatures.len()) {
            (expected, got) if got < expected => {
                Err(ManifestError::TooFew { round, expected, got })
            }
            _ => Ok(()),
        }
    }
}

fn message(run: RunId, manifest: &[u8]) -> Vec<u8> {
    [run.digest().as_bytes().as_slice(), Digest::of(manifest).as_bytes()].concat()
}

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
