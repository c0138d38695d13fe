//! Verifying another validator's verdict: against every signed object, and against the deltas as
//! measured here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use bytes::Bytes;

use super::evaluate::{
    EvaluationResults, FetchedDeltas, delivered_again, evaluate, fetch_deltas, measure,
};
use super::validator::Registered;
use crate::agreement::commitments::{CommitmentLists, ListedCommitment};
use crate::gauntlet::conduct::PeerTable;
use crate::gauntlet::scoring::Evaluator;
use crate::gauntlet::verdict::{Difference, Verdict};
use crate::gauntlet::{ActivePeer, Gauntlet, Observations, Participation};
use crate::membership::Slot;
use crate::objects::{DeltaRef, Exclusion, Manifest, OuterSettings};
use crate::primitives::{Digest, PeerId, Round};
use crate::run::{CommsError, Fetched, Run};

/// Verifies verdicts.
#[derive(Clone, Copy, Debug)]
pub struct VerdictVerifier<'run> {
    /// The run.
    pub run: &'run Run,
    /// The Gauntlet of the run.
    pub gauntlet: &'run Gauntlet,
    /// The manifest of the previous round, which assigns the slots.
    pub last: Option<&'run Manifest>,
    /// The records of all peers before the round.
    pub before: &'run PeerTable,
    /// The digest of the previous verdict.
    pub previous: Option<Digest>,
    /// The outer settings of the round, if the verifier knows them.
    pub outer: Option<OuterSettings>,
}

/// The result of verifying one round.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedRound {
    /// The first difference, if there is one.
    pub difference: Option<Difference>,
    /// True if the deltas were available, so losses and weights were recomputed.
    pub is_complete: bool,
}

/// The objects that the verifier has already seen or fetched.
pub(super) struct VerifierInputs<'state> {
    /// Peers with a delta that was seen in time.
    pub(super) revealed: &'state BTreeSet<PeerId>,
    /// The registered peers, if the run uses a ledger.
    pub(super) registry: Option<&'state Registered>,
    pub(super) listed: &'state BTreeMap<PeerId, ListedCommitment>,
    pub(super) fetched: &'state mut FetchedDeltas,
    pub(super) earlier: Option<&'state BTreeMap<PeerId, Bytes>>,
}

/// The result of one check.
type CheckResult = Result<(), Difference>;

/// Checks what only a validator that took part in the round can know: deltas seen in time, and
/// registration.
fn check_observed(inputs: &Observations, known: &VerifierInputs<'_>) -> CheckResult {
    let is_denied =
        |active: &ActivePeer| active.presence == Participation::Silent(Exclusion::Withheld);
    let seen = |peer: &PeerId| known.revealed.contains(peer);
    if let Some((peer, _)) =
        inputs.active.iter().find(|(peer, active)| is_denied(active) && seen(peer))
    {
        return Err(Difference::new(
            format!("inputs.seated.{peer}"),
            "a delta that was seen in time",
            "withheld",
        ));
    }
    match inputs
        .joining
        .iter()
        .find(|peer: &&PeerId| known.registry.is_some_and(|registry| !registry(**peer)))
    {
        Some(peer) => Err(Difference::new(
            format!("inputs.newcomers.{peer}"),
            "an entry in the ledger",
            "none",
        )),
        None => Ok(()),
    }
}

fn equal<T: PartialEq + Display>(path: &str, expected: T, got: T) -> CheckResult {
    match expected == got {
        true => Ok(()),
        false => Err(Difference::new(path, expected, got)),
    }
}

impl VerdictVerifier<'_> {
    /// Verifies the verdict on which a manifest is based. `evaluator` holds the weights at the
    /// start of the round; if it is `None`, losses and weights are not recomputed.
    ///
    /// # Errors
    /// Errors of the bucket or of `evaluator`. A wrong verdict is not an error.
    pub async fn of_manifest(
        &self,
        manifest: &Manifest,
        verdict: &Verdict,
        evaluator: Option<&mut dyn Evaluator>,
    ) -> Result<VerifiedRound, CommsError> {
        let (listed, mut fetched, revealed) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let known = VerifierInputs {
            listed: &listed,
            fetched: &mut fetched,
            earlier: None,
            revealed: &revealed,
            registry: None,
        };
        self.verify(manifest.basis().proposer, verdict, known, evaluator).await
    }

    pub(super) async fn verify(
        &self,
        proposer: PeerId,
        verdict: &Verdict,
        mut known: VerifierInputs<'_>,
        evaluator: Option<&mut dyn Evaluator>,
    ) -> Result<VerifiedRound, CommsError> {
        let differs =
            |difference| VerifiedRound { difference: Some(difference), is_complete: true };
        let commitment_lists = match self.commitment_lists(&verdict.inputs).await? {
            Ok(commitment_lists) => commitment_lists,
            Err(difference) => return Ok(differs(difference)),
        };
        let held = self
            .check_frame(proposer, verdict, &commitment_lists)
            .and_then(|()| self.check_participation(&verdict.inputs, &commitment_lists));
        if let Err(difference) = held.and_then(|()| check_observed(&verdict.inputs, &known)) {
            return Ok(differs(difference));
        }
        // Cheap checks first, in the order in which they need more: signed lists, then commitments,
        // then join requests, then the recomputed outcome, and only then gigabytes of deltas.
        if let Err(difference) = self.check_commitments(&verdict.inputs, known.listed).await? {
            return Ok(differs(difference));
        }
        if let Err(difference) = self.joining(&verdict.inputs).await? {
            return Ok(differs(difference));
        }
        if let Err(difference) = verdict.check(self.gauntlet, self.before) {
            return Ok(differs(difference));
        }
        let Some(evaluator) = evaluator else {
            return Ok(VerifiedRound { difference: None, is_complete: false });
        };
        match self.deltas(verdict, &commitment_lists, &mut known, evaluator).await? {
            None => Ok(VerifiedRound { difference: None, is_complete: false }),
            Some(held) => Ok(VerifiedRound { difference: held.err(), is_complete: true }),
        }
    }

    /// Reads the commitment lists on which the verdict is based.
    async fn commitment_lists(
        &self,
        inputs: &Observations,
    ) -> Result<Result<CommitmentLists, Difference>, CommsError> {
        let validator_set = &self.run.description().validator_set;
        let mut commitment_lists = CommitmentLists::default();
        for (validator, named) in &inputs.commitment_lists {
            let path = format!("inputs.rolls.{validator}");
            if !validator_set.contains(*validator) {
                return Ok(Err(Difference::new(path, "a validator", "an unknown peer")));
            }
            let fetched = self.run.commitment_list(inputs.round, inputs.base, *validator).await;
            match Fetched::from(fetched).into_option()? {
                Some(commitment_list) if commitment_list.0 == *named => {
                    commitment_lists.0.insert(*validator, commitment_list);
                }
                Some((digest, _)) => return Ok(Err(Difference::new(path, digest, named))),
                None => return Ok(Err(Difference::new(path, "no commitment list", named))),
            }
        }
        let is_first_round = inputs.round == Round::FIRST;
        Ok(match (is_first_round, commitment_lists.are_enough(validator_set)) {
            (true, _) if !commitment_lists.0.is_empty() => {
                Err(Difference::new("inputs.rolls", "none in the first round", "some"))
            }
            (false, false) => Err(Difference::new(
                "inputs.rolls",
                format!("{} lists", validator_set.threshold()),
                commitment_lists.0.len(),
            )),
            _ => Ok(commitment_lists),
        })
    }

    /// Checks round, base, settings, previous verdict and secret.
    fn check_frame(
        &self,
        proposer: PeerId,
        verdict: &Verdict,
        commitment_lists: &CommitmentLists,
    ) -> CheckResult {
        let inputs = &verdict.inputs;
        let (round, base) = match self.last {
            Some(last) => (last.round().next().unwrap_or(Round(u32::MAX)), last.lineage()),
            None => (Round::FIRST, crate::objects::Lineage::genesis(self.run.id())),
        };
        equal("inputs.round", round, inputs.round)?;
        equal("inputs.base", base, inputs.base)?;
        if let Some(outer) = self.outer.filter(|outer| *outer != inputs.outer) {
            return Err(Difference::new(
                "inputs.outer",
                format!("{outer:?}"),
                format!("{:?}", inputs.outer),
            ));
        }
        if self.previous != verdict.previous {
            let text =
                |digest: Option<Digest>| digest.map_or("none".into(), |digest| digest.to_string());
            return Err(Difference::new("previous", text(self.previous), text(verdict.previous)));
        }
        if inputs.round == Round::FIRST {
            return match inputs.secret {
                None => Ok(()),
                Some(secret) => Err(Difference::new("inputs.secret", "none", secret)),
            };
        }
        let Some(commitment_list) = commitment_lists.of(proposer) else {
            return Err(Difference::new("inputs.rolls", format!("the list of {proposer}"), "none"));
        };
        match inputs.secret {
            Some(secret) => equal("inputs.secret", commitment_list.pledge, secret.pledge()),
            None => Err(Difference::new("inputs.secret", commitment_list.pledge, "none")),
        }
    }

    /// Checks slots, and which peers committed in time.
    fn check_participation(
        &self,
        inputs: &Observations,
        commitment_lists: &CommitmentLists,
    ) -> CheckResult {
        let slots = self.last.map(Slot::all).unwrap_or_default();
        let timely = commitment_lists.timely(&self.run.description().validator_set);
        for (peer, active) in &inputs.active {
            let path = format!("inputs.seated.{peer}");
            match slots.get(peer) {
                Some(slot) if *slot == active.slot => {}
                slot => {
                    return Err(Difference::new(
                        path,
                        format!("{slot:?}"),
                        format!("{:?}", active.slot),
                    ));
                }
            }
            let is_right = match (active.presence, timely.get(peer)) {
                (Participation::Delivered(delivered), Some(committed)) => delivered == *committed,
                (Participation::Silent(Exclusion::Withheld), Some(_)) => true,
                (Participation::Silent(Exclusion::Missing | Exclusion::Late), None) => true,
                _ => false,
            };
            if !is_right {
                let committed = timely.get(peer).map(|delta_ref| delta_ref.digest);
                return Err(Difference::new(
                    path,
                    format!("committed in time: {committed:?}"),
                    format!("{:?}", active.presence),
                ));
            }
        }
        // Leaving out a timely peer would take its slot and its payout.
        let omitted = timely
            .keys()
            .find(|peer| slots.contains_key(peer) && !inputs.active.contains_key(peer));
        if let Some(peer) = omitted {
            return Err(Difference::new(
                format!("inputs.seated.{peer}"),
                "what it delivered",
                "nothing",
            ));
        }
        let active_twice =
            inputs.joining.union(&inputs.unknown).find(|peer| slots.contains_key(peer));
        match active_twice {
            Some(peer) => Err(Difference::new(
                "inputs",
                format!("{peer} has a slot"),
                "a joining or unknown peer",
            )),
            None => Ok(()),
        }
    }

    /// Checks that the peer itself signed the commitment to every delivered delta.
    async fn check_commitments(
        &self,
        inputs: &Observations,
        listed: &BTreeMap<PeerId, ListedCommitment>,
    ) -> Result<CheckResult, CommsError> {
        for (peer, active) in &inputs.active {
            let Participation::Delivered(delivered) = active.presence else { continue };
            // A commitment that this validator listed itself needs no second download.
            if listed.get(peer).is_some_and(|listed| listed.commitment == delivered) {
                continue;
            }
            let fetched = self.run.commitment(inputs.round, inputs.base, *peer).await;
            let signed = Fetched::from(fetched).into_option()?;
            if signed != Some(delivered) {
                let signed = signed
                    .map_or("nothing".into(), |delta_ref: DeltaRef| delta_ref.digest.to_string());
                return Ok(Err(Difference::new(
                    format!("inputs.seated.{peer}"),
                    signed,
                    delivered.digest,
                )));
            }
        }
        Ok(Ok(()))
    }

    /// Checks that every joining peer published a join request.
    async fn joining(&self, inputs: &Observations) -> Result<CheckResult, CommsError> {
        for peer in &inputs.joining {
            if self.run.delta_location(*peer).await?.is_none() {
                return Ok(Err(Difference::new(
                    format!("inputs.newcomers.{peer}"),
                    "a join request",
                    "none",
                )));
            }
        }
        Ok(Ok(()))
    }

    /// Evaluates the deltas and compares the verdict. `None` if a delta is not available.
    async fn deltas(
        &self,
        verdict: &Verdict,
        commitment_lists: &CommitmentLists,
        known: &mut VerifierInputs<'_>,
        evaluator: &mut dyn Evaluator,
    ) -> Result<Option<CheckResult>, CommsError> {
        let inputs = &verdict.inputs;
        let round = inputs.round;
        // All measured values are replaced by this machine's own values; the rest was
        // checked above, so a difference names the first measured value that deviates.
        let mut ours = verdict.clone();
        if let Some(seed) = inputs.seed() {
            let delivered = inputs.delivered();
            let shortlist = self.gauntlet.shortlist_of(self.before, inputs);
            let wanted = shortlist
                .peers()
                .iter()
                .filter_map(|peer| Some((*peer, *delivered.get(peer)?)))
                .collect();
            let gone = fetch_deltas(self.run, (round, inputs.base), &wanted, known.fetched).await?;
            let Some(earlier) = self.earlier(inputs, known).await?.filter(|_| gone.is_empty())
            else {
                return Ok(None);
            };
            let evidence = (&*known.fetched, &shortlist);
            let findings = evaluate(
                (self.gauntlet, self.before),
                evaluator,
                evidence,
                &earlier,
                (&seed, commitment_lists),
            );
            let slots = inputs.active.iter().map(|(peer, active)| (*peer, active.slot)).collect();
            let case = (round, &inputs.outer, &seed);
            let measurements =
                measure(self.gauntlet, evaluator, (&shortlist, &findings), &slots, case)?;
            let EvaluationResults { refused, earlier, overlaps, .. } = findings;
            ours.inputs = Observations { refused, earlier, overlaps, ..ours.inputs };
            ours.inputs.measured(measurements);
        }
        let included: BTreeSet<PeerId> = verdict.outcome.included.keys().copied().collect();
        let weights = evaluator.weights_after(&included, &inputs.outer);
        ours.weights = weights.map_err(|source| CommsError::Examination { round, source })?;
        Ok(Some(verdict.compare_with(&ours, self.gauntlet.config().loss_tolerance)))
    }

    /// The previous round's deltas that the verdict compared with. `None` if one is not available.
    async fn earlier(
        &self,
        inputs: &Observations,
        known: &VerifierInputs<'_>,
    ) -> Result<Option<BTreeMap<PeerId, Bytes>>, CommsError> {
        let pick = |all: &BTreeMap<PeerId, Bytes>| -> Option<BTreeMap<PeerId, Bytes>> {
            inputs.earlier.iter().map(|peer| Some((*peer, all.get(peer)?.clone()))).collect()
        };
        if let Some(earlier) = known.earlier.and_then(pick) {
            return Ok(Some(earlier));
        }
        let Some(last) = self.last else { return Ok(None) };
        Ok(delivered_again(self.run.gather(last).await)?.as_ref().and_then(pick))
    }
}
