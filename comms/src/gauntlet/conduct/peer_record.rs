//! What a run remembers of its peers from round to round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome_window::OutcomeWindow;
use crate::gauntlet::config::GauntletConfig;
use crate::gauntlet::scoring::Rating;
use crate::primitives::{PeerId, Round};

/// One peer's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRecord {
    /// How its deltas compare with those of others.
    pub rating: Rating,
    /// Moving average, from -1 to 1, of whether its deltas help more on the windows that it was assigned than on others.
    pub bma: f64,
    /// What penalties left of 1, and what it made up for since.
    pub trust: f64,
    /// What it is ranked and paid by; never negative.
    pub score: f64,
    /// How often it was evaluated since it was new or was reset.
    pub evaluations: u32,
    /// When it was evaluated last, or else when it came.
    pub last_evaluated: Round,
    /// When it had a seat or asked for one last.
    pub last_seen: Round,
    /// Its last evaluations: whether its deltas helped.
    pub evaluated: OutcomeWindow,
    /// Its last tries to deliver: whether a delta that can be read was there in time.
    pub delivered: OutcomeWindow,
    /// Rounds in a row in which nothing came.
    pub silences: u32,
    /// How often it was banned.
    pub bans: u32,
    /// The first round in which it may be in again.
    pub banned_until: Option<Round>,
}

impl PeerRecord {
    /// The record of somebody who is first heard of in `round`.
    pub fn joining_peer(config: &GauntletConfig, round: Round) -> Self {
        Self {
            rating: config.rating.joining_peer(),
            bma: 0.0,
            trust: 1.0,
            score: 0.0,
            evaluations: 0,
            last_evaluated: round,
            last_seen: round,
            evaluated: OutcomeWindow::default(),
            delivered: OutcomeWindow::default(),
            silences: 0,
            bans: 0,
            banned_until: None,
        }
    }

    /// Takes all back that the peer has earned, and nothing of what it has done wrong.
    pub(crate) fn reset(&mut self, config: &GauntletConfig) {
        let fresh = Self::joining_peer(config, self.last_seen);
        let (last_evaluated, bans, banned_until) =
            (self.last_evaluated, self.bans, self.banned_until);
        *self = Self { last_evaluated, bans, banned_until, ..fresh };
    }

    /// Whether the peer's deltas do not count in `round`.
    pub fn is_banned(&self, round: Round) -> bool {
        self.banned_until.is_some_and(|until| round < until)
    }

    /// Whether too little is known of the peer to count its deltas without measuring them.
    pub fn is_on_probation(&self, config: &GauntletConfig) -> bool {
        self.evaluations < config.probation
    }

    /// Whether the peer's deltas are made from the data that it was assigned, as far as that is known by now.
    pub fn is_credible(&self, config: &GauntletConfig) -> bool {
        // A moving average that began at zero is not yet what it averages.
        let reached = 1.0 - libm::pow(config.bma_decay, f64::from(self.evaluations));
        self.is_on_probation(config) || self.bma >= config.bma_bar * reached
    }

    /// Whether the peer's last deltas all did harm.
    pub(crate) fn is_harmful(&self, config: &GauntletConfig) -> bool {
        self.evaluated.failures_in_a_row() >= config.penalties.negative_streak
    }

    /// Whether a delta of the peer may count without being measured.
    pub(crate) fn is_established(&self, config: &GauntletConfig) -> bool {
        self.score > 0.0 && !self.is_on_probation(config) && !self.is_harmful(config)
    }

    /// Computes the score anew: the skill that is certain, times the moving average, times what penalties left.
    pub(crate) fn rescore(&mut self, config: &GauntletConfig) {
        let score = self.rating.ordinal().max(0.0) * self.bma.max(0.0) * self.trust;
        let counts = self.is_credible(config) && score >= config.penalties.floor;
        self.score = if counts { score } else { 0.0 };
    }
}

/// The records of everybody who is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PeerTable(BTreeMap<PeerId, PeerRecord>);

impl PeerTable {
    /// The record of a peer.
    pub fn get(&self, peer: PeerId) -> Option<&PeerRecord> {
        self.0.get(&peer)
    }

    /// All records in ascending order of peers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (PeerId, &PeerRecord)> {
        self.0.iter().map(|(peer, record)| (*peer, record))
    }

    /// The number of peers that are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The record of a peer that was seen in `round`, a new one if need be.
    pub(crate) fn seen(
        &mut self,
        config: &GauntletConfig,
        peer: PeerId,
        round: Round,
    ) -> &mut PeerRecord {
        let record = self.0.entry(peer).or_insert_with(|| PeerRecord::joining_peer(config, round));
        record.last_seen = round;
        record
    }

    /// Forgets those who have been away for long and have done their time.
    pub(crate) fn forget(&mut self, config: &GauntletConfig, round: Round) {
        let is_recent =
            |record: &PeerRecord| round.0.saturating_sub(record.last_seen.0) <= config.memory;
        self.0.retain(|_, record| is_recent(record) || record.is_banned(round));
    }
}

impl FromIterator<(PeerId, PeerRecord)> for PeerTable {
    fn from_iter<T: IntoIterator<Item = (PeerId, PeerRecord)>>(records: T) -> Self {
        Self(records.into_iter().collect())
    }
}
