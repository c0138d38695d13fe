//! What is said in a round between its first heartbeat and its manifest: commitments, rolls, verdicts and votes.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{StreamExt, iter};

use super::error::CommsError;
use super::run::{CONCURRENCY, Run};
use crate::agreement::Vote;
use crate::agreement::commitments::{CommitmentList, CommitmentLists};
use crate::bucket::BucketError;
use crate::gauntlet::verdict::Verdict;
use crate::objects::envelope::{Author, Envelope, Expectation, Kind};
use crate::objects::{Commitment, DeltaRef, Key, Lineage, Manifest, Prefix};
use crate::primitives::{Digest, PeerId, Round};

impl Run {
    /// What `peer` bound itself to in a round that starts from `base`.
    ///
    /// # Errors
    /// What is wrong with the object, or what the bucket says.
    pub async fn commitment(
        &self,
        round: Round,
        base: Lineage,
        peer: PeerId,
    ) -> Result<DeltaRef, CommsError> {
        let max_payload = Commitment::LENGTH as u64;
        let payload = self
            .said(Kind::Commitment, (round, base), &Key::Commitment(round, peer), max_payload)
            .await?;
        Commitment::parse(&payload).ok_or_else(|| unreadable(round, "commitment", peer))
    }

    /// Takes in the rolls of a round that starts from `base` that are not in `commitment_lists` yet; what is no roll of a validator
    /// is left out.
    ///
    /// # Errors
    /// What the bucket says.
    pub async fn poll_commitment_lists(
        &self,
        round: Round,
        base: Lineage,
        commitment_lists: &mut CommitmentLists,
    ) -> Result<(), CommsError> {
        let listing = self.bucket().list(&Prefix::CommitmentLists(round), None).await?;
        let validators = listing.iter().filter_map(|listed| listed.key.owner());
        let validator_set = &self.description().validator_set;
        let unknown = validators
            .filter(|peer| validator_set.contains(*peer) && commitment_lists.of(*peer).is_none());
        let fetches: Vec<_> = unknown
            .map(|peer| async move { (peer, self.commitment_list(round, base, peer).await) })
            .collect();
        let arrivals: Vec<_> = iter(fetches).buffered(CONCURRENCY).collect().await;
        for (validator, arrival) in arrivals {
            if let Some(commitment_list) = readable(arrival)? {
                commitment_lists.0.insert(validator, commitment_list);
            }
        }
        Ok(())
    }

    /// The roll that `validator` called in a round that starts from `base`, with its digest.
    ///
    /// # Errors
    /// What is wrong with the object, or what the bucket says.
    pub async fn commitment_list(
        &self,
        round: Round,
        base: Lineage,
        validator: PeerId,
    ) -> Result<(Digest, CommitmentList), CommsError> {
        let payload = self
            .said(
                Kind::CommitmentList,
                (round, base),
                &Key::CommitmentList(round, validator),
                CommitmentList::MAX_LENGTH,
            )
            .await?;
        let commitment_list =
            CommitmentList::parse(&payload).ok_or_else(|| unreadable(round, "roll", validator))?;
        Ok((Digest::of(&payload), commitment_list))
    }

    /// What `proposer` proposed for a round that starts from `base`, with its digest.
    ///
    /// # Errors
    /// What is wrong with the object, or what the bucket says.
    pub async fn verdict(
        &self,
        round: Round,
        base: Lineage,
        proposer: PeerId,
    ) -> Result<(Digest, Verdict), CommsError> {
        let (key, limit) = (Key::Verdict(round, proposer), Verdict::MAX_LENGTH);
        let payload = self.said(Kind::Verdict, (round, base), &key, limit).await?;
        let refused = |reason: String| CommsError::Verdict { round, reason };
        let verdict = Verdict::parse(&payload).map_err(|error| refused(error.to_string()))?;
        Ok((Digest::of(&payload), verdict))
    }

    /// The verdict that `manifest` follows from.
    ///
    /// # Errors
    /// [`CommsError::Verdict`] if it is another than the manifest names; what is wrong with it, or what the bucket says.
    pub async fn verdict_of(&self, manifest: &Manifest) -> Result<Verdict, CommsError> {
        let round = manifest.round();
        let (got, verdict) =
            self.verdict(round, manifest.previous(), manifest.basis().proposer).await?;
        match manifest.basis().verdict {
            expected if expected == got => Ok(verdict),
            expected => Err(CommsError::Verdict {
                round,
                reason: format!("its digest is {got}, not {expected}"),
            }),
        }
    }

    /// What validators say of the verdicts of a round that starts from `base`: by proposer, then by voter.
    ///
    /// # Errors
    /// What the bucket says.
    pub async fn votes(
        &self,
        round: Round,
        base: Lineage,
    ) -> Result<BTreeMap<PeerId, BTreeMap<PeerId, Vote>>, CommsError> {
        let mut votes: BTreeMap<PeerId, BTreeMap<PeerId, Vote>> = BTreeMap::new();
        for listed in self.bucket().list(&Prefix::Votes(round), None).await? {
            let Key::Vote(_, proposer, voter) = listed.key else { continue };
            let validator_set = &self.description().validator_set;
            if validator_set.contains(proposer)
                && validator_set.contains(voter)
                && let Some(vote) = readable(self.vote(round, base, proposer, voter).await)?
            {
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
        let payload = self.said(Kind::Vote, (round, base), &key, Vote::MAX_LENGTH).await?;
        Vote::parse(&payload).ok_or_else(|| unreadable(round, "vote", voter))
    }

    /// The payload under `key`, by the peer whom the key belongs to.
    async fn said(
        &self,
        kind: Kind,
        (round, base): (Round, Lineage),
        key: &Key,
        max_payload: u64,
    ) -> Result<Bytes, CommsError> {
        let author =
            Author::Is(key.owner().expect("everything that is said in a round has an author"));
        let expectation = Expectation {
            run: self.id(),
            kind,
            round: Some(round),
            base: Some(base),
            author,
            max_payload,
        };
        let check = |object| Ok(Envelope::open(&object, &expectation)?.payload().clone());
        self.fetch(key, expectation.max_object(), check).await
    }
}

fn unreadable(round: Round, what: &str, peer: PeerId) -> CommsError {
    CommsError::Verdict { round, reason: format!("the {what} of {} cannot be read", peer.short()) }
}

/// What arrived, if it is what it should be; whatever else lies there says nothing.
pub(crate) fn readable<T>(arrival: Result<T, CommsError>) -> Result<Option<T>, CommsError> {
    match arrival {
        Ok(said) => Ok(Some(said)),
        Err(CommsError::Envelope(_) | CommsError::Verdict { .. }) => Ok(None),
        Err(CommsError::Bucket(BucketError::TooLarge { .. })) => Ok(None),
        Err(error) if error.is_absence() => Ok(None),
        Err(error) => Err(error),
    }
}
