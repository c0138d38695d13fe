//! What validators say to each other's verdicts, and when that is enough.

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
use crate::run::{CommsError, readable};

impl Validator {
    /// Agrees to a manifest, and remembers it.
    pub(super) async fn agree(
        &mut self,
        proposer: PeerId,
        manifest: Manifest,
    ) -> Result<(), CommsError> {
        let signature = Certificate::sign(&manifest, self.run().id(), &self.identity);
        self.cast(proposer, &Vote::Agrees(signature)).await?;
        self.session.agreed.insert(proposer, manifest);
        Ok(())
    }

    async fn cast(&mut self, proposer: PeerId, vote: &Vote) -> Result<(), CommsError> {
        let run = self.run().clone();
        let (round, base) = (self.session.round, self.session.base);
        let subject = Subject { run: run.id(), round, kind: Kind::Vote, base };
        let object = Envelope::seal(&self.identity, subject, vote.to_bytes()).to_bytes();
        // What an earlier life said stays.
        let _ = run.bucket().put_new(&Key::Vote(round, proposer, self.me()), object).await?;
        self.session.voted.insert(proposer);
        Ok(())
    }

    /// Writes the manifest that enough validators agree to; whether there is one.
    pub(super) async fn count_votes(&mut self) -> Result<bool, CommsError> {
        if self.session.voted.is_empty() {
            return Ok(false);
        }
        let run = self.run().clone();
        let votes = run.votes(self.session.round, self.session.base).await?;
        self.session.rejections =
            votes.iter().map(|(proposer, votes)| (*proposer, rejections(votes))).collect();
        for (proposer, manifest) in &self.session.agreed {
            let signatures = votes
                .get(proposer)
                .map(|votes| signatures(manifest, votes, &run))
                .unwrap_or_default();
            if signatures.len() >= run.description().validator_set.threshold() {
                let certificate = Certificate::new(manifest.clone(), signatures).to_bytes();
                // Somebody else may have been faster; what is there counts.
                let _ =
                    run.bucket().put_new(&Key::Manifest(self.session.round), certificate).await?;
                // A store that does not show it at once is asked again after a pause.
                return Ok(!std::mem::replace(&mut self.session.is_certified, true));
            }
        }
        Ok(false)
    }

    /// Votes on the proposals of those whose turn has come; whether there was one.
    pub(super) async fn audit_others(
        &mut self,
        outer: OuterSettings,
        evaluator: &mut dyn Evaluator,
    ) -> Result<bool, CommsError> {
        let (round, base, run) = (self.session.round, self.session.base, self.run().clone());
        let turns: Vec<PeerId> = run.description().validator_set.turns(round).collect();
        for (proposer, turn) in turns.into_iter().zip(0..) {
            if self.session.voted.contains(&proposer) || !self.has_come(turn) {
                continue;
            }
            if let Some((digest, verdict)) = readable(run.verdict(round, base, proposer).await)? {
                self.vote(proposer, digest, &verdict, outer, evaluator).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether it is worth looking at the proposal of whoever has this turn: always, until this validator agreed to one.
    fn has_come(&self, turn: u32) -> bool {
        let RoundStage::Judging { since } = self.session.stage else { return false };
        self.session.agreed.is_empty()
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
        let audit = VerdictVerifier {
            run: &run,
            gauntlet: &self.gauntlet,
            last: self.history.back(),
            before: &self.previous.peer_table,
            previous: self.previous.verdict,
            outer: Some(outer),
        };
        let known = VerifierInputs {
            called: &self.session.called,
            fetched: &mut self.session.fetched,
            earlier: Some(&self.previous.deltas),
            revealed: &self.session.revealed,
            registry: self.registry.as_deref(),
        };
        let audited = audit.audit(proposer, verdict, known, Some(evaluator)).await?;
        let objection = audited.difference.map(|difference| difference.to_string());
        let objection = objection
            .or_else(|| (!audited.is_complete).then(|| "its deltas are out of reach".into()));
        match (objection, manifest(verdict, proposer, digest)) {
            (None, Ok(manifest)) => self.agree(proposer, manifest).await,
            (Some(reason), _) => self.cast(proposer, &Vote::rejection(&reason)).await,
            (None, Err(error)) => self.cast(proposer, &Vote::rejection(&error.to_string())).await,
        }
    }
}

fn rejections(votes: &BTreeMap<PeerId, Vote>) -> usize {
    votes.values().filter(|vote| matches!(vote, Vote::Refuses { .. })).count()
}

/// The signatures under `manifest` that hold.
fn signatures(
    manifest: &Manifest,
    votes: &BTreeMap<PeerId, Vote>,
    run: &crate::run::Run,
) -> BTreeMap<PeerId, Signature> {
    let signature = |(voter, vote): (&PeerId, &Vote)| match vote {
        Vote::Agrees(signature)
            if Certificate::is_signed(manifest, run.id(), *voter, signature) =>
        {
            Some((*voter, *signature))
        }
        _ => None,
    };
    votes.iter().filter_map(signature).collect()
}
