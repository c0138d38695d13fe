//! The objects that are written between the first heartbeat of a round and its manifest:
//! commitments, commitment lists, verdicts and votes.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{StreamExt, iter};

use super::error::CommsError;
use super::fetched::Fetched;
use super::run::{CONCURRENCY, Run};
use crate::agreement::Vote;
use crate::agreement::commitments::{CommitmentList, CommitmentLists};
use crate::gauntlet::verdict::Verdict;
use crate::objects::envelope::{Author, Envelope, Expectation, Kind};
use crate::objects::{Commitment, DeltaRef, Key, Lineage, Manifest, Prefix};
use crate::primitives::{Digest, PeerId, Round};

impl Run {
    /// Reads the commitment of `peer` in a round that starts from `base`.
    ///
    /// # Errors
    /// Errors of the object, or of the bucket.
    pub async fn commitment(
        &self,
        round: Round,
        base: Lineage,
        peer: PeerId,
    ) -> Result<DeltaRef, CommsError> {
        let (key, limit) = (Key::Commitment(round, peer), Commitment::LENGTH as u64);
        let payload =
            self.signed_payload(Kind::Commitment, (round, base), &key, peer, limit).await?;
        Commitment::parse(&payload).ok_or_else(|| unreadable(round, "commitment", peer))
    }

    /// Adds to `commitment_lists` every list of a round that starts from `base` and that is not in
    /// it yet. Invalid lists, and lists of peers that are not validators, are ignored.
    ///
    /// # Errors
    /// Errors of the bucket.
    pub async fn poll_commitment_lists(
        &self,
        round: Round,
        base: Lineage,
        commitment_lists: &mut CommitmentLists,
    ) -> Result<(), CommsError> {
        let listing = self.bucket().list(&Prefix::CommitmentLists(round), None).await?;
        let validator_set = &self.description().validator_set;
        let fetches: Vec<_> = listing
            .iter()
            .filter_map(|listed| listed.key.owner())
            .filter(|peer| validator_set.contains(*peer) && commitment_lists.of(*peer).is_none())
            .map(|peer| async move { (peer, self.commitment_list(round, base, peer).await) })
            .collect();
        let outcomes: Vec<_> = iter(fetches).buffered(CONCURRENCY).collect().await;
        for (validator, outcome) in outcomes {
            if let Some(commitment_list) = Fetched::from(outcome).into_option()? {
                commitment_lists.0.insert(validator, commitment_list);
            }
        }
        Ok(())
    }

    /// Reads the commitment list of `validator` in a round that starts from `base`; returns it with
    /// the digest of its payload.
    ///
    /// # Errors
    /// Errors of the object, or of the bucket.
    pub async fn commitment_list(
        &self,
        round: Round,
        base: Lineage,
        validator: PeerId,
    ) -> Result<(Digest, CommitmentList), CommsError> {
        let (key, limit) = (Key::CommitmentList(round, validator), CommitmentList::MAX_LENGTH);
        let payload = self
            .signed_payload(Kind::CommitmentList, (round, base), &key, validator, limit)
            .await?;
        let commitment_list = CommitmentList::parse(&payload)
            .ok_or_else(|| unreadable(round, "commitment list", validator))?;
        Ok((Digest::of(&payload), commitment_list))
    }

    /// Reads the verdict of `proposer` on a round that starts from `base`; returns it with the
    /// digest of its payload.
    ///
    /// # Errors
    /// Errors of the object, or of the bucket.
    pub async fn verdict(
        &self,
        round: Round,
        base: Lineage,
        proposer: PeerId,
    ) -> Result<(Digest, Verdict), CommsError> {
        let (key, limit) = (Key::Verdict(round, proposer), Verdict::MAX_LENGTH);
        let payload =
            self.signed_payload(Kind::Verdict, (round, base), &key, proposer, limit).await?;
        let verdict = Verdict::parse(&payload)
            .map_err(|error| CommsError::Verdict { round, reason: error.to_string() })?;
        Ok((Digest::of(&payload), verdict))
    }

    /// Reads the verdict on which `manifest` is based.
    ///
    /// # Errors
    /// [`CommsError::Verdict`] if its digest is not the one in the manifest; errors of the object,
    /// or of the bucket.
    pub async fn verdict_of(&self, manifest: &Manifest) -> Result<Verdict, CommsError> {
        let (round, basis) = (manifest.round(), manifest.basis());
        let (got, verdict) = self.verdict(round, manifest.previous(), basis.proposer).await?;
        if got == basis.verdict {
            return Ok(verdict);
        }
        let reason = format!("its digest is {got}, not {}", basis.verdict);
        Err(CommsError::Verdict { round, reason })
    }

    /// Reads the votes on the verdicts of a round that starts from `base`: by proposer, then by
    /// voter. Invalid votes, and votes of or for peers that are not validators, are ignored.
    ///
    /// # Errors
    /// Errors of the bucket.
    pub async fn votes(
        &self,
        round: Round,
        base: Lineage,
    ) -> Result<BTreeMap<PeerId, BTreeMap<PeerId, Vote>>, CommsError> {
        let validator_set = &self.description().validator_set;
        let fetches: Vec<_> = self
            .bucket()
            .list(&Prefix::Votes(round), None)
            .await?
            .into_iter()
            .filter_map(|listed| match listed.key {
                Key::Vote(_, proposer, voter) => Some((proposer, voter)),
                _ => None,
            })
            .filter(|(proposer, voter)| {
                validator_set.contains(*proposer) && validator_set.contains(*voter)
            })
            .map(|(proposer, voter)| async move {
                (proposer, voter, self.vote(round, base, proposer, voter).await)
            })
            .collect();
        let outcomes: Vec<_> = iter(fetches).buffered(CONCURRENCY).collect().await;
        let mut votes: BTreeMap<PeerId, BTreeMap<PeerId, Vote>> = BTreeMap::new();
        for (proposer, voter, outcome) in outcomes {
            if let Some(vote) = Fetched::from(outcome).into_option()? {
                votes.entry(proposer).or_default().insert(voter, vote);
            }
        }
        Ok(votes)
    }

    async fn vote(
        &self,
        round: Round,
        base: Lineage,
        proposer: PeerId,
        voter: PeerId,
    ) -> Result<Vote, CommsError> {
        let key = Key::Vote(round, proposer, voter);
        let payload =
            self.signed_payload(Kind::Vote, (round, base), &key, voter, Vote::MAX_LENGTH).await?;
        Vote::parse(&payload).ok_or_else(|| unreadable(round, "vote", voter))
    }

    /// Reads the payload of the envelope under `key`, signed by `author`.
    async fn signed_payload(
        &self,
        kind: Kind,
        (round, base): (Round, Lineage),
        key: &Key,
        author: PeerId,
        max_payload: u64,
    ) -> Result<Bytes, CommsError> {
        let expectation = Expectation {
            run: self.id(),
            kind,
            round: Some(round),
            base: Some(base),
            author: Author::Is(author),
            max_payload,
        };
        self.fetch(key, expectation.max_object(), |object| {
            Ok(Envelope::open(&object, &expectation)?.payload().clone())
        })
        .await
    }
}

fn unreadable(round: Round, what: &str, peer: PeerId) -> CommsError {
    CommsError::Verdict { round, reason: format!("the {what} of {} cannot be read", peer.short()) }
}
