//! The judgement of a round: all steps of the Gauntlet in order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::config::GauntletConfig;
use super::observations::{Observations, Participation};
use super::payouts::{PaidPlaces, payouts};
use super::selection::Selection;
use super::shortlist::{RoundDraw, Shortlist, shortlist};
use super::verdict::Difference;
use crate::agreement::draw::Seed;
use crate::gauntlet::checks::{self, SimilarPair, Similarity, Sketch};
use crate::gauntlet::conduct::{
    Conduct, PeerRecord, PeerTable, Penalty, apply_penalty, penalties_for,
};
use crate::gauntlet::scoring::{Evaluation, evaluate};
use crate::objects::{DeltaRef, Exclusion};
use crate::primitives::{PeerId, Round};

/// The rules of a run: the constants, and the number of deltas that a round includes.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauntlet {
    config: GauntletConfig,
    max_included: u32,
}

/// The outcome of a round, as the verdict contains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundOutcome {
    /// Included deltas.
    pub included: BTreeMap<PeerId, DeltaRef>,
    /// Excluded peers, with reasons.
    pub excluded: BTreeMap<PeerId, Exclusion>,
    /// The peer records after the round.
    #[serde(rename = "book")]
    pub peer_table: PeerTable,
    /// Penalties, in ascending order of peers.
    pub penalties: Vec<Penalty>,
    /// Shares of the reward, with a sum of at most 1.
    pub payouts: BTreeMap<PeerId, f64>,
}

impl Gauntlet {
    /// Creates the rules of a run. The config must have passed [`GauntletConfig::check`].
    pub fn new(config: GauntletConfig, max_included: u32) -> Self {
        Self { config, max_included }
    }

    /// The constants.
    pub fn config(&self) -> &GauntletConfig {
        &self.config
    }

    /// Chooses the shortlist of a round among the peers that committed in time and revealed.
    pub fn shortlist(
        &self,
        peer_table: &PeerTable,
        round: Round,
        delivered: &BTreeSet<PeerId>,
        seed: &Seed,
    ) -> Shortlist {
        let draw = RoundDraw { config: &self.config, round, seed };
        shortlist(draw, self.max_included, peer_table, delivered)
    }

    /// Chooses the shortlist of a round from its observations. Empty without a seed, as in round 0.
    pub fn shortlist_of(&self, before: &PeerTable, inputs: &Observations) -> Shortlist {
        let Some(seed) = inputs.seed() else { return Shortlist::default() };
        self.shortlist(before, inputs.round, &inputs.delivered().into_keys().collect(), &seed)
    }

    /// Returns the peers with a delta that is much longer or shorter than the median, by norm.
    pub fn outsized(
        &self,
        peer_table: &PeerTable,
        norms: &BTreeMap<PeerId, f64>,
    ) -> BTreeSet<PeerId> {
        checks::outsized(&self.config, peer_table, norms)
    }

    /// Finds all similar pairs, of this round's deltas with each other and with those of the
    /// previous round.
    ///
    /// `first` returns the peer that committed first. The cost is quadratic in the length of the
    /// shortlist, and does not depend on the number of peers.
    pub fn overlaps(
        &self,
        current: &BTreeMap<PeerId, Sketch>,
        earlier: &BTreeMap<PeerId, Sketch>,
        first: impl Fn(PeerId, PeerId) -> Option<PeerId>,
    ) -> Vec<SimilarPair> {
        checks::similar_pairs(self.config.overlap.high, current, earlier, first)
    }

    /// Returns the payout of each peer with a positive score.
    pub fn payouts(&self, scores: &BTreeMap<PeerId, f64>) -> BTreeMap<PeerId, f64> {
        let places = PaidPlaces {
            included: self.max_included as usize,
            reserves: self.config.num_reserves as usize,
        };
        payouts(&self.config.payout, places, scores)
    }

    /// Finds the first input that contradicts another one.
    pub(crate) fn check_inputs(
        &self,
        before: &PeerTable,
        inputs: &Observations,
    ) -> Result<(), Difference> {
        checks::check_inputs(&self.config, &self.shortlist_of(before, inputs), inputs)
    }

    /// Computes the outcome of a round from the records before it and its observations.
    ///
    /// Total, and the same bits on every machine: all sums run in the order of peers, and all
    /// functions come from `libm`.
    pub fn judge(&self, before: &PeerTable, inputs: &Observations) -> RoundOutcome {
        let shortlist = self.shortlist_of(before, inputs);
        let mut peer_table = before.clone();
        // Joining peers as well: their wait for an evaluation starts with this round.
        for peer in inputs.active.keys().chain(&inputs.joining) {
            peer_table.seen(&self.config, *peer, inputs.round);
        }
        let evaluation = evaluate(&self.config, &mut peer_table, inputs, &shortlist.evaluated);
        let copies = checks::copies(&self.config.overlap, inputs);
        // After the ratings, so the next evaluation does not undo a penalty.
        let conduct = RoundConduct::new(&self.config, inputs, &evaluation, &copies);
        let penalties = penalize(&self.config, &mut peer_table, &conduct);
        let selection = Selection {
            config: &self.config,
            max_included: self.max_included,
            before,
            peer_table: &peer_table,
            inputs,
            shortlist: &shortlist,
            evaluation: &evaluation,
            copies: &copies,
        };
        let (included, excluded) = selection.select();
        let payouts = self.payouts(&scores(&peer_table, inputs));
        // Last: the steps above need the record of every named peer.
        peer_table.forget(&self.config, inputs.round);
        RoundOutcome { included, excluded, peer_table, penalties, payouts }
    }
}

/// The intermediate results of a round on which penalties depend.
struct RoundConduct<'round> {
    inputs: &'round Observations,
    evaluation: &'round Evaluation,
    copies: &'round BTreeMap<PeerId, Similarity>,
    /// True if so few peers delivered that an outage is assumed.
    is_outage: bool,
}

impl<'round> RoundConduct<'round> {
    fn new(
        config: &GauntletConfig,
        inputs: &'round Observations,
        evaluation: &'round Evaluation,
        copies: &'round BTreeMap<PeerId, Similarity>,
    ) -> Self {
        let num_delivered = inputs.delivered().len() as f64;
        let num_required = config.penalties.min_delivery_share * inputs.active.len() as f64;
        Self { inputs, evaluation, copies, is_outage: num_delivered < num_required }
    }

    /// The conduct of one active peer.
    fn of(&self, peer: PeerId, participation: Participation) -> Conduct {
        let refused = self.inputs.refused.get(&peer).copied();
        let silence = match participation {
            Participation::Silent(reason) => Some(reason).filter(|_| !self.is_outage),
            Participation::Delivered(_) => refused.filter(|reason| reason.is_silence()),
        };
        let measurement = self.inputs.measurements.get(&peer);
        let is_unusable = measurement.is_some_and(|measurement| !measurement.is_usable());
        let is_evaluated = self.evaluation.scores.contains_key(&peer);
        Conduct {
            silence,
            is_present: matches!(participation, Participation::Delivered(_)),
            is_invalid: is_unusable || refused.is_some_and(|reason| !reason.is_silence()),
            is_answerable: is_evaluated && !self.evaluation.is_trouble,
            likeness: self.copies.get(&peer).copied(),
        }
    }
}

/// Applies all penalties, and recomputes the scores of all active peers.
fn penalize(
    config: &GauntletConfig,
    peer_table: &mut PeerTable,
    round: &RoundConduct<'_>,
) -> Vec<Penalty> {
    let number = round.inputs.round;
    let mut all = Vec::new();
    for (peer, active) in &round.inputs.active {
        let record = peer_table.seen(config, *peer, number);
        // A banned peer has no score that a penalty could reduce.
        if !record.is_banned(number) {
            let conduct = round.of(*peer, active.presence);
            // First the outcome: the penalty depends on the number of failures, this one included.
            record_delivery(record, conduct);
            for (offence, effect) in penalties_for(config, record, conduct, number) {
                apply_penalty(config, record, effect);
                all.push(Penalty { peer: *peer, offence, effect });
            }
        }
        record.rescore(config);
    }
    all
}

/// Adds the outcome of a delivery to the record of a peer.
fn record_delivery(record: &mut PeerRecord, conduct: Conduct) {
    match conduct.silence {
        Some(Exclusion::Missing) => record.missed_rounds = record.missed_rounds.saturating_add(1),
        Some(_) => {
            record.missed_rounds = 0;
            record.delivered.push(false);
        }
        None if conduct.is_present => {
            record.missed_rounds = 0;
            record.delivered.push(!conduct.is_invalid);
        }
        // An outage leaves no trace in the record.
        None => {}
    }
}

/// The scores of all active peers.
fn scores(peer_table: &PeerTable, inputs: &Observations) -> BTreeMap<PeerId, f64> {
    inputs.active.keys().filter_map(|peer| Some((*peer, peer_table.get(*peer)?.score))).collect()
}
