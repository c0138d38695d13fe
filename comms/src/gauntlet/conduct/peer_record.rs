//! The peer records that a run carries from round to round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome_window::OutcomeWindow;
use crate::gauntlet::config::GauntletConfig;
use crate::gauntlet::scoring::Rating;
use crate::primitives::{PeerId, Round};

/// The record of one peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerRecord {
    /// Estimated skill, from matches against other peers.
    pub rating: Rating,
    /// Moving average of the indicator, from -1 to 1: positive if the peer's deltas help, and help
    /// more on its assigned windows than on others.
    pub bma: f64,
    /// Factor from 0 to 1 that penalties reduce and credited evaluations restore.
    pub trust: f64,
    /// The value by which peers are ranked and paid; never negative.
    pub score: f64,
    /// Evaluations since the record was created or reset.
    pub evaluations: u32,
    /// Round of the last evaluation; without one, the round in which the record was created.
    pub last_evaluated: Round,
    /// Last round in which the peer was active or joining.
    pub last_seen: Round,
    /// Recent evaluations; success means that the delta helped.
    pub evaluated: OutcomeWindow,
    /// Recent deliveries; success means that a valid delta arrived in time.
    pub delivered: OutcomeWindow,
    /// Consecutive rounds without a commitment.
    #[serde(rename = "silences")]
    pub missed_rounds: u32,
    /// Number of bans so far.
    pub bans: u32,
    /// First round after the last ban.
    pub banned_until: Option<Round>,
}

impl PeerRecord {
    /// The record of a peer that is first seen in `round`.
    pub fn joining_peer(config: &GauntletConfig, round: Round) -> Self {
        Self {
            rating: Rating::initial(&config.rating),
            bma: 0.0,
            trust: 1.0,
            score: 0.0,
            evaluations: 0,
            last_evaluated: round,
            last_seen: round,
            evaluated: OutcomeWindow::default(),
            delivered: OutcomeWindow::default(),
            missed_rounds: 0,
            bans: 0,
            banned_until: None,
        }
    }

    /// Resets the record to that of a new peer, except for its bans.
    pub(crate) fn reset(&mut self, config: &GauntletConfig) {
        let fresh = Self::joining_peer(config, self.last_seen);
        // `last_evaluated` stays as well: a reset must not move the peer ahead in the draw.
        let (last_evaluated, bans, banned_until) =
            (self.last_evaluated, self.bans, self.banned_until);
        *self = Self { last_evaluated, bans, banned_until, ..fresh };
    }

    /// Returns true if the peer is banned in `round`.
    pub fn is_banned(&self, round: Round) -> bool {
        self.banned_until.is_some_and(|until| round < until)
    }

    /// Returns true if the peer has too few evaluations to be included without one.
    pub fn is_on_probation(&self, config: &GauntletConfig) -> bool {
        self.evaluations < config.probation
    }

    /// Returns true during probation, and then as long as the moving average shows that the peer
    /// trains on its assigned data.
    pub fn is_credible(&self, config: &GauntletConfig) -> bool {
        // The average starts at 0 and has this maximum after n evaluations. A fixed threshold would
        // be strict after 10 of them and lenient after 100.
        let maximum = 1.0 - libm::pow(config.bma_decay, f64::from(self.evaluations));
        self.is_on_probation(config) || self.bma >= config.bma_threshold * maximum
    }

    /// Returns true if the last few evaluated deltas were all harmful.
    pub(crate) fn is_harmful(&self, config: &GauntletConfig) -> bool {
        self.evaluated.failures_in_a_row() >= config.penalties.negative_streak
    }

    /// Returns true if a delta of the peer can be included without evaluation.
    pub(crate) fn is_established(&self, config: &GauntletConfig) -> bool {
        self.score > 0.0 && !self.is_on_probation(config) && !self.is_harmful(config)
    }

    /// Recomputes the score: max(0, mu - 3 sigma) x max(0, BMA) x trust.
    pub(crate) fn rescore(&mut self, config: &GauntletConfig) {
        let score = self.rating.ordinal().max(0.0) * self.bma.max(0.0) * self.trust;
        // A tiny score would earn nothing, but would still make the peer established.
        let counts = self.is_credible(config) && score >= config.penalties.floor;
        self.score = if counts { score } else { 0.0 };
    }
}

/// The records of all known peers.
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

    /// The number of records.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no record.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if a peer has a record and is established.
    pub(crate) fn is_established(&self, config: &GauntletConfig, peer: PeerId) -> bool {
        self.get(peer).is_some_and(|record| record.is_established(config))
    }

    /// Returns the record of a peer that is active or joining in `round`, and creates it if it is
    /// missing.
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

    /// Deletes the records of peers that were absent for a long time and are not banned.
    pub(crate) fn forget(&mut self, config: &GauntletConfig, round: Round) {
        // A banned peer is kept: otherwise its ban would end with its record.
        self.0.retain(|_, record| {
            let absent = round.0.saturating_sub(record.last_seen.0);
            absent <= config.forget_after_rounds || record.is_banned(round)
        });
    }
}

impl FromIterator<(PeerId, PeerRecord)> for PeerTable {
    fn from_iter<T: IntoIterator<Item = (PeerId, PeerRecord)>>(records: T) -> Self {
        Self(records.into_iter().collect())
    }
}
