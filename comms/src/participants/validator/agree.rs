//! Voting on verdicts, and certifying the manifest with enough votes.

use std::collections::BTreeMap;

use super::propose::manifest;
use super::round_state::RoundStage;
use super::validator::Validator;
use super::verify::{VerdictVerifier, VerifierInputs};
use crate::agreement::{Certificate, Vote};
use crate::gauntlet::scoring::Evaluator;
use crate::gauntlet::verdict::Verdict;
use crate::objects::envelope::{Envelope, Kind, Subject};
use crate::objects::{Key, Manifest, OuterSettings};
use crate::primitives::{Digest, PeerId, Signature};
use crate::run::{CommsError, Fetched};

impl Validator {
    /// Votes for `manifest` and remembers it.
    pub(super) async fn agree(
        &mut self,
        proposer: PeerId,
        manifest: Manifest,
    ) -> Result<(), CommsError> {
        let signature = Certificate::sign(&manifest, self.run().id(), &self.identity);
        self.publish_vote(proposer, &Vote::Agrees(signature)).await?;
        self.state.agreed.insert(proposer, manifest);
        Ok(())
    }

    async fn publish_vote(&mut self, proposer: PeerId, vote: &Vote) -> Result<(), CommsError> {
        let run = self.run().clone();
        let (round, base) = (self.state.round, self.state.base);
        let subject = Subject { run: run.id(), round, kind: Kind::Vote, base };
        let object = Envelope::seal(&self.identity, subject, vote.to_bytes()).to_bytes();
        // A vote from before a restart is binding.
        let _ = run.bucket().put_new(&Key::Vote(round, proposer, self.me()), object).await?;
        self.state.voted.insert(proposer);
        tracing::info!(round = round.0, peer = %proposer.short(), ?vote, "voted on a verdict");
        Ok(())
    }

    /// Counts the votes. Writes the certified manifest once enough validators agree; returns true
    /// if it was written.
    pub(super) async fn count_votes(&mut self) -> Result<bool, CommsError> {
        // A validator certifies only verdicts that it has verified, so it has voted by then.
        if self.state.voted.is_empty() {
            return Ok(false);
        }
        let run = self.run().clone();
        let votes = run.votes(self.state.round, self.state.base).await?;
        self.state.rejections =
            votes.iter().map(|(proposer, votes)| (*proposer, rejections(votes))).collect();
        for (proposer, manifest) in &self.state.agreed {
            let signatures = votes
                .get(proposer)
                .map(|votes| signatures(manifest, votes, &run))
                .unwrap_or_default();
            if signatures.len() >= run.description().validator_set.threshold() {
                let certificate = Certificate::new(manifest.clone(), signatures).to_bytes();
                // Another validator may have written it first; the first object counts.
                let _ = run.bucket().put_new(&Key::Manifest(self.state.round), certificate).await?;
                // Some stores list an object late; the manifest is read again after a pause.
                return Ok(!std::mem::replace(&mut self.state.is_certified, true));
            }
        }
        Ok(false)
    }

    /// Verifies and votes on the proposals that are due. Returns true if there was one.
    pub(super) async fn verify_proposals(
        &mut self,
        outer: OuterSettings,
        evaluator: &mut dyn Evaluator,
    ) -> Result<bool, CommsError> {
        let (round, base, run) = (self.state.round, self.state.base, self.run().clone());
        let turns: Vec<PeerId> = run.description().validator_set.turns(round).collect();
        for (proposer, turn) in turns.into_iter().zip(0..) {
            if self.state.voted.contains(&proposer) || !self.is_due(turn) {
                continue;
            }
            if let Some((digest, verdict)) =
                Fetched::from(run.verdict(round, base, proposer).await).into_option()?
            {
                self.vote(proposer, digest, &verdict, outer, evaluator).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns true if the proposal of this turn must be verified. After this validator has agreed
    /// to a verdict, later turns wait for their time: two manifests must not be signed without
    /// need.
    fn is_due(&self, turn: u32) -> bool {
        let RoundStage::Judging { since } = self.state.stage else { return false };
        self.state.agreed.is_empty()
            || self.run().clock().now() >= since + self.rules().takeover * turn
    }

    async fn vote(
        &mut self,
        proposer: PeerId,
        digest: Digest,
        verdict: &Verdict,
        outer: OuterSettings,
        evaluator: &mut dyn Evaluator,
    ) -> Result<(), CommsError> {
        let run = self.run().clone();
        let verifier = VerdictVerifier {
            run: &run,
            gauntlet: &self.gauntlet,
            last: self.history.back(),
            before: &self.previous.peer_table,
            previous: self.previous.verdict,
            outer: Some(outer),
        };
        let known = VerifierInputs {
            listed: &self.state.listed,
            fetched: &mut self.state.fetched,
            earlier: Some(&self.previous.deltas),
            revealed: &self.state.revealed,
            registry: self.registry.as_deref(),
        };
        let verified = verifier.verify(proposer, verdict, known, Some(evaluator)).await?;
        let objection = verified.difference.map(|difference| difference.to_string());
        let objection = objection
            .or_else(|| (!verified.is_complete).then(|| "its deltas cannot be read".into()));
        match (objection, manifest(verdict, proposer, digest)) {
            (None, Ok(manifest)) => self.agree(proposer, manifest).await,
            (Some(reason), _) => self.publish_vote(proposer, &Vote::rejection(&reason)).await,
            (None, Err(error)) => {
                self.publish_vote(proposer, &Vote::rejection(&error.to_string())).await
            }
        }
    }
}

fn rejections(votes: &BTreeMap<PeerId, Vote>) -> usize {
    votes.values().filter(|vote| matches!(vote, Vote::Refuses { .. })).count()
}

/// The valid signatures under `manifest`.
fn signatures(
    manifest: &Manifest,
    votes: &BTreeMap<PeerId, Vote>,
    run: &crate::run::Run,
) -> BTreeMap<PeerId, Signature> {
    votes
        .iter()
        .filter_map(|(voter, vote): (&PeerId, &Vote)| match vote {
            Vote::Agrees(signature)
                if Certificate::is_signed(manifest, run.id(), *voter, signature) =>
            {
                Some((*voter, *signature))
            }
            _ => None,
        })
        .collect()
}
