//! The judgement of a round: what follows from all that was observed in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::config::GauntletConfig;
use super::observations::{Observations, Participation};
use super::selection::Selection;
use super::shortlist::Shortlist;
use crate::gauntlet::checks::Similarity;
use crate::gauntlet::conduct::{Conduct, PeerRecord, PeerTable, Penalty};
use crate::gauntlet::scoring::Evaluation;
use crate::objects::{DeltaRef, Exclusion};
use crate::primitives::PeerId;

/// The rules of judgement: constants, and how many deltas a round takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauntlet {
    pub(crate) config: GauntletConfig,
    pub(crate) max_included: u32,
}

/// What a round leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundOutcome {
    /// Whose deltas count.
    pub included: BTreeMap<PeerId, DeltaRef>,
    /// Whose do not, and why.
    pub excluded: BTreeMap<PeerId, Exclusion>,
    /// What is remembered of everybody.
    #[serde(rename = "book")]
    pub peer_table: PeerTable,
    /// Who is punished for what, in ascending order of peers.
    pub penalties: Vec<Penalty>,
    /// Shares of the reward; together at most 1.
    pub payouts: BTreeMap<PeerId, f64>,
}

impl Gauntlet {
    /// The rules of a run.
    pub fn new(config: GauntletConfig, max_included: u32) -> Self {
        Self { config, max_included }
    }

    /// The constants.
    pub fn config(&self) -> &GauntletConfig {
        &self.config
    }

    /// Whose deltas are much longer or much shorter than those of others, by the norms of all that were admitted.
    ///
    /// Clipping makes a delta that is too long harmless, but it would be as good as an honest one. The median is that of the
    /// peers that have proven themselves, if there are at least three of them here.
    pub fn outsized(
        &self,
        peer_table: &PeerTable,
        norms: &BTreeMap<PeerId, f64>,
    ) -> BTreeSet<PeerId> {
        let is_number = |norm: &f64| norm.is_finite() && *norm > 0.0;
        let is_known = |peer: PeerId| {
            peer_table.get(peer).is_some_and(|known| known.is_established(&self.config))
        };
        let sorted = |of: &dyn Fn(PeerId) -> bool| {
            let numbers = norms.iter().filter(|(peer, norm)| of(**peer) && is_number(norm));
            let mut numbers: Vec<f64> = numbers.map(|(_, norm)| *norm).collect();
            numbers.sort_by(f64::total_cmp);
            numbers
        };
        let known = sorted(&is_known);
        let all = if known.len() >= 3 { known } else { sorted(&|_| true) };
        // Of two nobody can say which one is wrong.
        let median = all.get(all.len() / 2).copied().filter(|_| all.len() >= 3);
        let ratio = self.config.norm_ratio;
        let fits = |norm: f64| {
            median.is_none_or(|median| norm <= median * ratio && norm >= median / ratio)
        };
        norms
            .iter()
            .filter(|(_, norm)| !is_number(norm) || !fits(**norm))
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// The shortlist that the inputs of a round lead to; nobody is on it, if there is no chance in the round.
    pub fn shortlist_of(&self, before: &PeerTable, inputs: &Observations) -> Shortlist {
        let Some(seed) = inputs.seed() else { return Shortlist::default() };
        self.shortlist(before, inputs.round, &inputs.delivered().into_keys().collect(), &seed)
    }

    /// What follows from what was remembered and observed.
    ///
    /// Total, and the same bits on every machine: all sums run in the order of peers, no function is the platform's.
    pub fn judge(&self, before: &PeerTable, inputs: &Observations) -> RoundOutcome {
        let shortlist = self.shortlist_of(before, inputs);
        let mut peer_table = before.clone();
        for peer in inputs.active.keys().chain(&inputs.joining) {
            peer_table.seen(&self.config, *peer, inputs.round);
        }
        let evaluation = self.evaluate(&mut peer_table, inputs, &shortlist.evaluated);
        let copies = self.copies(inputs);
        let penalties = self.hold_to_account(&mut peer_table, inputs, &evaluation, &copies);
        let selection = Selection {
            before,
            peer_table: &peer_table,
            inputs,
            shortlist: &shortlist,
            evaluation: &evaluation,
            copies: &copies,
        };
        let (included, excluded) = self.select(&selection);
        let payouts = self.payouts(&scores(&peer_table, inputs));
        peer_table.forget(&self.config, inputs.round);
        RoundOutcome { included, excluded, peer_table, penalties, payouts }
    }

    /// Carries out all penalties and computes all scores anew.
    fn hold_to_account(
        &self,
        peer_table: &mut PeerTable,
        inputs: &Observations,
        evaluation: &Evaluation,
        copies: &BTreeMap<PeerId, Similarity>,
    ) -> Vec<Penalty> {
        let num_delivered = inputs.delivered().len() as f64;
        let is_outage = num_delivered < self.config.penalties.network * inputs.active.len() as f64;
        let mut all = Vec::new();
        for (peer, active) in &inputs.active {
            let record = peer_table.seen(&self.config, *peer, inputs.round);
            if !record.is_banned(inputs.round) {
                let conduct =
                    self.conduct(*peer, active.presence, is_outage, inputs, evaluation, copies);
                note_delivery(record, conduct);
                for (offence, effect) in self.config.penalties(record, conduct, inputs.round) {
                    self.config.punish(record, effect);
                    all.push(Penalty { peer: *peer, offence, effect });
                }
            }
            record.rescore(&self.config);
        }
        all
    }

    fn conduct(
        &self,
        peer: PeerId,
        presence: Participation,
        is_outage: bool,
        inputs: &Observations,
        evaluation: &Evaluation,
        copies: &BTreeMap<PeerId, Similarity>,
    ) -> Conduct {
        let refused = inputs.refused.get(&peer).copied();
        let silence = match presence {
            Participation::Silent(reason) => Some(reason).filter(|_| !is_outage),
            Participation::Delivered(_) => refused.filter(|reason| reason.is_silence()),
        };
        let is_unusable =
            inputs.measurements.get(&peer).is_some_and(|measurement| !measurement.is_usable());
        Conduct {
            silence,
            is_present: matches!(presence, Participation::Delivered(_)),
            is_invalid: is_unusable || refused.is_some_and(|reason| !reason.is_silence()),
            is_answerable: evaluation.scores.contains_key(&peer) && !evaluation.is_trouble,
            likeness: copies.get(&peer).copied(),
        }
    }
}

/// Remembers whether a delta came that is one.
fn note_delivery(record: &mut PeerRecord, conduct: Conduct) {
    match conduct.silence {
        Some(Exclusion::Missing) => record.silences = record.silences.saturating_add(1),
        Some(_) => {
            record.silences = 0;
            record.delivered.push(false);
        }
        None if conduct.is_present => {
            record.silences = 0;
            record.delivered.push(!conduct.is_invalid);
        }
        None => {}
    }
}

/// The scores of all peers with a seat.
fn scores(peer_table: &PeerTable, inputs: &Observations) -> BTreeMap<PeerId, f64> {
    let score = |peer: &PeerId| peer_table.get(*peer).map(|record| (*peer, record.score));
    inputs.active.keys().filter_map(score).collect()
}
