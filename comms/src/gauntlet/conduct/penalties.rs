//! What misconduct costs, and that it is remembered.
//!
//! The published Gauntlet multiplies the score and the moving average, and then computes the score of everybody who was
//! evaluated anew, so that only half of it lasts; and a peer that is cut often falls below the bar of the moving average,
//! whatever data it trains on. Here penalties come after the ratings and cut the peer's trust, a factor of its score that
//! comes back as slowly as a moving average: it takes about 20 good evaluations to make up for one cut.

use serde::{Deserialize, Serialize};

use super::outcome_window::OutcomeWindow;
use super::peer_record::PeerRecord;
use crate::gauntlet::checks::Similarity;
use crate::gauntlet::config::GauntletConfig;
use crate::objects::Exclusion;
use crate::primitives::{PeerId, Round};

/// What costs how much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PenaltyConfig {
    /// What stays of a peer's trust after each round in which nothing came.
    pub inactive: f64,
    /// Rounds in a row in which nothing came, before the record is reset.
    pub inactive_rounds: u32,
    /// What stays after the first, the second, and each further delta in a row that came late, was held back or is invalid.
    pub undelivered: [f64; 3],
    /// So many of these among the last eight deltas are a ban.
    pub unreliable: u32,
    /// What stays if more than half of the last eight evaluated deltas did harm.
    pub negative: f64,
    /// After so many harmful deltas in a row a peer is out until one helps.
    pub negative_streak: u32,
    /// If not even as many peers as this did good, the trouble is not theirs, and harm is no offence; of fewer than twice as
    /// many peers, half. The published run takes the fifth, however few there are.
    pub trouble_rank: u32,
    /// What stays after a delta that is suspiciously like another one.
    pub similar: f64,
    /// Rounds that a first ban lasts; each further one is twice as long.
    pub ban_rounds: u32,
    /// Scores and trust below this are none.
    pub floor: f64,
    /// If less than this share of all seats delivered, the network is at fault and nobody's silence is an offence. The
    /// published run is harsher then.
    pub network: f64,
}

impl Default for PenaltyConfig {
    fn default() -> Self {
        Self {
            inactive: 0.75,
            inactive_rounds: 3,
            undelivered: [0.75, 0.5, 0.0],
            unreliable: 4,
            negative: 0.25,
            negative_streak: 3,
            trouble_rank: 5,
            similar: 0.5,
            ban_rounds: 20,
            floor: 1e-4,
            network: 0.4,
        }
    }
}

/// Why a peer is punished. The code of each never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
#[non_exhaustive]
pub enum Offence {
    /// Nothing came.
    Inactive = 1,
    /// A delta came late or was held back.
    Undelivered = 2,
    /// Too many of the last deltas were late, held back or invalid.
    Unreliable = 3,
    /// A delta that cannot be used.
    Invalid = 4,
    /// Too many of the last deltas did harm.
    Negative = 5,
    /// A delta that is suspiciously like another one.
    Similar = 6,
    /// A delta that is like another one not by chance.
    Copied = 7,
    /// A copy.
    Plagiarised = 8,
}

impl Offence {
    /// The number in places where text is too long.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// What a penalty does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// The peer's trust is multiplied.
    Cut(f64),
    /// All that was earned is taken back.
    Reset,
    /// That, and no delta of the peer counts before this round.
    BannedUntil(Round),
}

/// A punishment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Penalty {
    /// Of whom.
    pub peer: PeerId,
    /// For what.
    pub offence: Offence,
    /// How.
    pub effect: Effect,
}

/// What one peer did in a round that may be punished.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conduct {
    /// Why no delta came, if that is the peer's fault.
    pub(crate) silence: Option<Exclusion>,
    /// A delta came.
    pub(crate) is_present: bool,
    /// The delta that came cannot be used.
    pub(crate) is_invalid: bool,
    /// It was measured, or could not be, and nobody else is to blame for what came out.
    pub(crate) is_answerable: bool,
    /// It is like another one.
    pub(crate) likeness: Option<Similarity>,
}

impl GauntletConfig {
    /// All penalties for a peer's conduct, in the order in which they are carried out.
    pub(crate) fn penalties(
        &self,
        record: &PeerRecord,
        conduct: Conduct,
        round: Round,
    ) -> Vec<(Offence, Effect)> {
        let ban = Effect::BannedUntil(self.ban_end(record, round));
        let for_silence = match conduct.silence {
            Some(Exclusion::Missing) if record.silences > self.penalties.inactive_rounds => {
                Some((Offence::Inactive, Effect::Reset))
            }
            Some(Exclusion::Missing) => {
                Some((Offence::Inactive, Effect::Cut(self.penalties.inactive)))
            }
            Some(_) => Some((Offence::Undelivered, Effect::Cut(self.undelivered(record)))),
            None => None,
        };
        let for_delta = conduct.is_invalid.then_some((Offence::Invalid, Effect::Cut(0.0)));
        let has_failed = conduct.is_invalid
            || conduct.silence.is_some_and(|reason| reason != Exclusion::Missing);
        let is_unreliable = has_failed && record.delivered.failures() >= self.penalties.unreliable;
        let is_negative =
            conduct.is_answerable && record.evaluated.failures() > OutcomeWindow::LENGTH / 2;
        let for_copy = conduct.likeness.map(|likeness| match likeness {
            Similarity::High => (Offence::Similar, Effect::Cut(self.penalties.similar)),
            Similarity::Max => (Offence::Copied, Effect::Reset),
            Similarity::Mega => (Offence::Plagiarised, ban),
        });
        let for_harm =
            is_negative.then_some((Offence::Negative, Effect::Cut(self.penalties.negative)));
        let for_all = is_unreliable.then_some((Offence::Unreliable, ban));
        [for_silence, for_delta, for_harm, for_all, for_copy].into_iter().flatten().collect()
    }

    fn undelivered(&self, record: &PeerRecord) -> f64 {
        let [first, second, further] = self.penalties.undelivered;
        match record.delivered.failures_in_a_row() {
            0 | 1 => first,
            2 => second,
            _ => further,
        }
    }

    /// A ban begins with the round after this one.
    fn ban_end(&self, record: &PeerRecord, round: Round) -> Round {
        let times = 1_u32.checked_shl(record.bans.min(16)).unwrap_or(u32::MAX);
        Round(
            round
                .0
                .saturating_add(1)
                .saturating_add(self.penalties.ban_rounds.saturating_mul(times)),
        )
    }

    /// Carries a penalty out.
    pub(crate) fn punish(&self, record: &mut PeerRecord, effect: Effect) {
        match effect {
            Effect::Cut(factor) => {
                let left = record.trust * factor;
                record.trust = if left < self.penalties.floor { 0.0 } else { left };
            }
            Effect::Reset => record.reset(self),
            Effect::BannedUntil(round) => {
                record.reset(self);
                record.bans = record.bans.saturating_add(1);
                record.banned_until = Some(round);
            }
        }
    }
}
