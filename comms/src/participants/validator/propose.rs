//! A validator's own verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::evaluate::{EvaluationResults, evaluate, fetch_deltas, measure};
use super::validator::Validator;
use crate::agreement::draw::RoundSecret;
use crate::gauntlet::scoring::Evaluator;
use crate::gauntlet::verdict::Verdict;
use crate::gauntlet::{ActivePeer, Observations, Participation, Shortlist};
use crate::objects::envelope::{Envelope, Kind, Subject};
use crate::objects::{
    DeltaRef, Exclusion, Key, Manifest, ManifestBasis, ManifestError, OuterSettings, Prefix,
};
use crate::primitives::{Digest, PeerId, Timestamp};
use crate::run::CommsError;

impl Validator {
    /// How many others come before this validator; nothing if it may not propose in this round, or was refused.
    ///
    /// Whoever did not call the roll has pledged no secret, so its choices could not be checked.
    pub(super) fn turn(&self) -> Option<u32> {
        let validator_set = &self.run().description().validator_set;
        let session = &self.session;
        let may_propose =
            |peer: &PeerId| self.is_enlistment() || session.commitment_lists.of(*peer).is_some();
        let is_refused = |peer: &PeerId| {
            session.rejections.get(peer).is_some_and(|count| *count > validator_set.spare())
        };
        let mut turns = validator_set
            .turns(session.round)
            .filter(|peer| may_propose(peer) && !is_refused(peer));
        // There are at most 64 validators.
        turns.position(|peer| peer == self.me()).map(|turn| turn as u32)
    }

    /// Proposes, if it is this validator's turn and it has not yet.
    pub(super) async fn propose_in_turn(
        &mut self,
        outer: OuterSettings,
        since: Timestamp,
        evaluator: &mut dyn Evaluator,
    ) -> Result<bool, CommsError> {
        let wait = |turn| since + Duration::saturating_mul(self.rules().takeover, turn);
        let is_due = self.turn().is_some_and(|turn| self.run().clock().now() >= wait(turn));
        if !is_due || self.session.voted.contains(&self.me()) || self.session.own_is_elsewhere {
            return Ok(false);
        }
        let verdict = self.deliberate(outer, evaluator).await?;
        let run = self.run().clone();
        let (round, base) = (self.session.round, self.session.base);
        let payload = verdict.to_bytes();
        let manifest = manifest(&verdict, self.me(), Digest::of(&payload))?;
        let subject = Subject { run: run.id(), round, kind: Kind::Verdict, base };
        let object = Envelope::seal(&self.identity, subject, payload.into()).to_bytes();
        match run.bucket().put_new(&Key::Verdict(round, self.me()), object).await?.is_stored() {
            true => self.agree(self.me(), manifest).await?,
            // An earlier life had proposed; that is judged like anybody else's.
            false => self.session.own_is_elsewhere = true,
        }
        Ok(true)
    }

    /// Everything that this validator observed, and what follows from it.
    async fn deliberate(
        &mut self,
        outer: OuterSettings,
        evaluator: &mut dyn Evaluator,
    ) -> Result<Verdict, CommsError> {
        let (round, base) = (self.session.round, self.session.base);
        let secret = (!self.is_enlistment())
            .then(|| RoundSecret::of(&self.identity, self.run().id(), round, base));
        let timely = self.session.commitment_lists.timely(&self.run().description().validator_set);
        self.look_for_the_late().await?;
        let mut delivered = timely.clone();
        delivered.retain(|peer, _| {
            self.session.revealed.contains(peer) && self.session.slots.contains_key(peer)
        });
        let (mut findings, mut measurements) = (EvaluationResults::default(), BTreeMap::new());
        if let Some(seed) = self.session.seed(secret.as_ref()) {
            let shortlist = self.fetch_shortlist(&mut delivered, &seed).await?;
            let Self { gauntlet, session, previous, .. } = self;
            let evidence = (&session.fetched, &shortlist);
            findings = evaluate(
                (gauntlet, &previous.peer_table),
                evaluator,
                evidence,
                &previous.deltas,
                (&seed, &session.commitment_lists),
            );
            measurements = measure(
                gauntlet,
                evaluator,
                (&shortlist, &findings),
                &session.slots,
                (round, &outer, &seed),
            )?;
        }
        let mut inputs = Observations {
            round,
            base,
            outer,
            commitment_lists: self.session.commitment_lists.digests(),
            secret,
            active: self.active(&timely, &delivered),
            joining: self.joining(),
            unknown: self.session.unknown.clone(),
            refused: findings.refused,
            earlier: findings.earlier,
            overlaps: findings.overlaps,
            measurements: BTreeMap::new(),
        };
        inputs.measured(measurements);
        let outcome = self.gauntlet.judge(&self.previous.peer_table, &inputs);
        let included: BTreeSet<PeerId> = outcome.included.keys().copied().collect();
        let weights = evaluator.weights_after(&included, &outer);
        let weights = weights.map_err(|source| CommsError::Examination { round, source })?;
        Ok(Verdict { previous: self.previous.verdict, inputs, outcome, weights })
    }

    /// The shortlist, all of whose deltas have been fetched; what is out of reach is taken out of `delivered`.
    async fn fetch_shortlist(
        &mut self,
        delivered: &mut BTreeMap<PeerId, DeltaRef>,
        seed: &crate::agreement::draw::Seed,
    ) -> Result<Shortlist, CommsError> {
        let run = self.run().clone();
        let place = (self.session.round, self.session.base);
        loop {
            let names = delivered.keys().copied().collect();
            let shortlist =
                self.gauntlet.shortlist(&self.previous.peer_table, place.0, &names, seed);
            let wanted = shortlist
                .peers()
                .iter()
                .filter_map(|peer| Some((*peer, *delivered.get(peer)?)))
                .collect();
            let gone = fetch_deltas(&run, place, &wanted, &mut self.session.fetched).await?;
            if gone.is_empty() {
                return Ok(shortlist);
            }
            delivered.retain(|peer, _| !gone.contains(peer));
        }
    }

    /// Who has committed by now, in time or not.
    async fn look_for_the_late(&mut self) -> Result<(), CommsError> {
        let listing =
            self.run().bucket().list(&Prefix::Commitments(self.session.round), None).await?;
        self.session.committed = listing.iter().filter_map(|listed| listed.key.owner()).collect();
        Ok(())
    }

    /// What everybody with a seat did, but those who lose theirs.
    fn active(
        &self,
        timely: &BTreeMap<PeerId, DeltaRef>,
        delivered: &BTreeMap<PeerId, DeltaRef>,
    ) -> BTreeMap<PeerId, ActivePeer> {
        let roster = self.roster();
        let silence = |peer: &PeerId| match (
            timely.contains_key(peer),
            self.session.committed.contains(peer),
        ) {
            (true, _) => Exclusion::Withheld,
            (false, true) => Exclusion::Late,
            (false, false) => Exclusion::Missing,
        };
        let presence = |peer: &PeerId| match delivered.get(peer) {
            Some(delta_ref) => Some(Participation::Delivered(*delta_ref)),
            None if timely.contains_key(peer) || roster.keeps_slot(*peer) => {
                Some(Participation::Silent(silence(peer)))
            }
            None => None,
        };
        let slots = self.session.slots.iter();
        slots
            .filter_map(|(peer, slot)| {
                Some((*peer, ActivePeer { slot: *slot, presence: presence(peer)? }))
            })
            .collect()
    }
}

/// The manifest that follows from a verdict.
///
/// # Errors
/// What no manifest can say.
pub(super) fn manifest(
    verdict: &Verdict,
    proposer: PeerId,
    digest: Digest,
) -> Result<Manifest, ManifestError> {
    let basis = ManifestBasis { proposer, verdict: digest, weights: verdict.weights };
    let (inputs, outcome) = (&verdict.inputs, &verdict.outcome);
    let (included, excluded) = (outcome.included.clone(), outcome.excluded.clone());
    Manifest::new(inputs.round, inputs.base, basis, inputs.outer, included, excluded)
}
