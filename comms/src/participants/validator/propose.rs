//! Making and proposing a verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::evaluate::{EvaluationResults, evaluate, fetch_deltas, measure};
use super::validator::Validator;
use crate::agreement::draw::{RoundSecret, Seed};
use crate::gauntlet::scoring::{Evaluator, Measurement};
use crate::gauntlet::verdict::Verdict;
use crate::gauntlet::{ActivePeer, Observations, Participation, Shortlist};
use crate::objects::envelope::{Envelope, Kind, Subject};
use crate::objects::{
    DeltaRef, Exclusion, Key, Manifest, ManifestBasis, ManifestError, OuterSettings, Prefix,
};
use crate::primitives::{Digest, PeerId, Timestamp};
use crate::run::CommsError;

impl Validator {
    /// The number of validators with an earlier turn to propose. `None` if this
    /// validator may not propose, or its verdict was rejected.
    ///
    /// A validator without a commitment list has not pledged its secret, so its random draws could
    /// not be verified.
    pub(super) fn turn(&self) -> Option<u32> {
        let validator_set = &self.run().description().validator_set;
        let state = &self.state;
        let may_propose =
            |peer: &PeerId| self.is_first_round() || state.commitment_lists.of(*peer).is_some();
        let is_refused = |peer: &PeerId| {
            state.rejections.get(peer).is_some_and(|count| *count > validator_set.spare())
        };
        let mut turns =
            validator_set.turns(state.round).filter(|peer| may_propose(peer) && !is_refused(peer));
        // A validator set has at most 64 members, so the position fits.
        turns.position(|peer| peer == self.me()).map(|turn| turn as u32)
    }

    /// Proposes a verdict if it is this validator's turn and it has not proposed yet.
    pub(super) async fn propose_in_turn(
        &mut self,
        outer: OuterSettings,
        since: Timestamp,
        evaluator: &mut dyn Evaluator,
    ) -> Result<bool, CommsError> {
        let wait = |turn| since + Duration::saturating_mul(self.rules().takeover, turn);
        let is_due = self.turn().is_some_and(|turn| self.run().clock().now() >= wait(turn));
        if !is_due || self.state.voted.contains(&self.me()) || self.state.has_earlier_proposal {
            return Ok(false);
        }
        let verdict = self.build_verdict(outer, evaluator).await?;
        let run = self.run().clone();
        let (round, base) = (self.state.round, self.state.base);
        let payload = verdict.to_bytes();
        let manifest = manifest(&verdict, self.me(), Digest::of(&payload))?;
        let (included, bytes) = (manifest.included().len(), payload.len());
        tracing::info!(round = round.0, included, bytes, "proposing a verdict");
        let subject = Subject { run: run.id(), round, kind: Kind::Verdict, base };
        let object = Envelope::seal(&self.identity, subject, payload.into()).to_bytes();
        match run.bucket().put_new(&Key::Verdict(round, self.me()), object).await?.is_stored() {
            true => self.agree(self.me(), manifest).await?,
            // A proposal from before a restart. It is verified like that of any other validator.
            false => self.state.has_earlier_proposal = true,
        }
        Ok(true)
    }

    /// Builds the verdict from this validator's observations.
    async fn build_verdict(
        &mut self,
        outer: OuterSettings,
        evaluator: &mut dyn Evaluator,
    ) -> Result<Verdict, CommsError> {
        let (round, base) = (self.state.round, self.state.base);
        let secret = (!self.is_first_round())
            .then(|| RoundSecret::of(&self.identity, self.run().id(), round, base));
        // The seed follows from the secret, which was pledged before any delta was visible: the
        // proposer cannot choose the sample after it has seen the deltas.
        let timely = self.state.commitment_lists.timely(&self.run().description().validator_set);
        self.poll_late_commitments().await?;
        let mut delivered = timely.clone();
        delivered.retain(|peer, _| {
            self.state.revealed.contains(peer) && self.state.slots.contains_key(peer)
        });
        let (findings, measurements) = match self.state.seed(secret.as_ref()) {
            Some(seed) => self.evaluate_delivered(&mut delivered, &outer, &seed, evaluator).await?,
            None => (EvaluationResults::default(), BTreeMap::new()),
        };
        let joining = self.joining();
        // A joining peer may already have committed. It must not be named twice: every other
        // validator would reject the verdict.
        let unknown = self.state.unknown.difference(&joining).copied().collect();
        let mut inputs = Observations {
            round,
            base,
            outer,
            commitment_lists: self.state.commitment_lists.digests(),
            secret,
            active: self.active(&timely, &delivered),
            joining,
            unknown,
            refused: findings.refused,
            earlier: findings.earlier,
            overlaps: findings.overlaps,
            measurements: BTreeMap::new(),
        };
        // Not part of the literal above: deltas without finite losses move to `refused`.
        inputs.measured(measurements);
        let outcome = self.gauntlet.judge(&self.previous.peer_table, &inputs);
        let included: BTreeSet<PeerId> = outcome.included.keys().copied().collect();
        let weights = evaluator.weights_after(&included, &outer);
        let weights = weights.map_err(|source| CommsError::Examination { round, source })?;
        Ok(Verdict { previous: self.previous.verdict, inputs, outcome, weights })
    }

    /// Draws a shortlist of `delivered`, fetches its deltas, and checks and measures them.
    async fn evaluate_delivered(
        &mut self,
        delivered: &mut BTreeMap<PeerId, DeltaRef>,
        outer: &OuterSettings,
        seed: &Seed,
        evaluator: &mut dyn Evaluator,
    ) -> Result<(EvaluationResults, BTreeMap<PeerId, Measurement>), CommsError> {
        let shortlist = self.fetch_shortlist(delivered, seed).await?;
        let Self { gauntlet, state, previous, .. } = self;
        let findings = evaluate(
            (gauntlet, &previous.peer_table),
            evaluator,
            (&state.fetched, &shortlist),
            &previous.deltas,
            (seed, &state.commitment_lists),
        );
        let measurements = measure(
            gauntlet,
            evaluator,
            (&shortlist, &findings),
            &state.slots,
            (state.round, outer, seed),
        )?;
        Ok((findings, measurements))
    }

    /// Draws the shortlist and fetches its deltas. Undelivered ones are removed from `delivered`,
    /// and the shortlist is drawn again.
    async fn fetch_shortlist(
        &mut self,
        delivered: &mut BTreeMap<PeerId, DeltaRef>,
        seed: &Seed,
    ) -> Result<Shortlist, CommsError> {
        let run = self.run().clone();
        let place = (self.state.round, self.state.base);
        loop {
            let names = delivered.keys().copied().collect();
            let shortlist =
                self.gauntlet.shortlist(&self.previous.peer_table, place.0, &names, seed);
            let wanted = shortlist
                .peers()
                .iter()
                .filter_map(|peer| Some((*peer, *delivered.get(peer)?)))
                .collect();
            let gone = fetch_deltas(&run, place, &wanted, &mut self.state.fetched).await?;
            if gone.is_empty() {
                return Ok(shortlist);
            }
            delivered.retain(|peer, _| !gone.contains(peer));
        }
    }

    /// Lists the committed peers, timely and late.
    async fn poll_late_commitments(&mut self) -> Result<(), CommsError> {
        let listing =
            self.run().bucket().list(&Prefix::Commitments(self.state.round), None).await?;
        self.state.committed = listing.iter().filter_map(|listed| listed.key.owner()).collect();
        Ok(())
    }

    /// The participation of every active peer, except those that lose their slot.
    fn active(
        &self,
        timely: &BTreeMap<PeerId, DeltaRef>,
        delivered: &BTreeMap<PeerId, DeltaRef>,
    ) -> BTreeMap<PeerId, ActivePeer> {
        let active_set = self.active_set();
        let silence = |peer: &PeerId| match (
            timely.contains_key(peer),
            self.state.committed.contains(peer),
        ) {
            (true, _) => Exclusion::Withheld,
            (false, true) => Exclusion::Late,
            (false, false) => Exclusion::Missing,
        };
        let presence = |peer: &PeerId| match delivered.get(peer) {
            Some(delta_ref) => Some(Participation::Delivered(*delta_ref)),
            None if timely.contains_key(peer) || active_set.keeps_slot(*peer) => {
                Some(Participation::Silent(silence(peer)))
            }
            None => None,
        };
        let slots = self.state.slots.iter();
        slots
            .filter_map(|(peer, slot)| {
                Some((*peer, ActivePeer { slot: *slot, presence: presence(peer)? }))
            })
            .collect()
    }
}

/// The manifest that is based on `verdict`.
///
/// # Errors
/// A verdict with too many peers for a manifest.
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
