//! Penalties for misconduct, and how long they last.
//!
//! The published Gauntlet multiplies the score and the moving average, and then recomputes the
//! score of every evaluated peer, so the cut of the score has no lasting effect. The cut of the
//! moving average has another fault: a peer that is often late falls below the threshold of the
//! average, whichever data it trains on. Here penalties follow the ratings and reduce the peer's
//! trust, a factor of its score. Trust recovers as slowly as a moving average: about 20 credited
//! evaluations make up for one cut.

use serde::{Deserialize, Serialize};

use super::outcome_window::OutcomeWindow;
use super::peer_record::PeerRecord;
use crate::gauntlet::checks::Similarity;
use crate::gauntlet::config::GauntletConfig;
use crate::objects::Exclusion;
use crate::primitives::{PeerId, Round};

/// The reason of a penalty. The codes never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
#[non_exhaustive]
pub enum Offence {
    /// No commitment in the round.
    Inactive = 1,
    /// A late or withheld delta.
    Undelivered = 2,
    /// Too many late, withheld or refused deltas among the last eight.
    Unreliable = 3,
    /// A refused delta.
    Invalid = 4,
    /// Too many harmful deltas among the last eight evaluated ones.
    Negative = 5,
    /// A delta with a suspicious similarity to another one.
    Similar = 6,
    /// A delta with a similarity that chance does not explain.
    Copied = 7,
    /// A copy.
    Plagiarised = 8,
}

impl Offence {
    /// The code of the offence, for encodings without text.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// The effect of a penalty on the peer record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// Trust is multiplied by this factor.
    Cut(f64),
    /// The record becomes that of a new peer, except for its bans.
    Reset,
    /// A reset, and the peer is excluded until this round.
    BannedUntil(Round),
}

/// A penalty in a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Penalty {
    /// The penalised peer.
    pub peer: PeerId,
    /// The reason.
    pub offence: Offence,
    /// The effect.
    pub effect: Effect,
}

/// The conduct of one peer in a round: all facts that can be penalised.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conduct {
    /// The reason why no delta arrived, if the peer is responsible for it.
    pub(crate) silence: Option<Exclusion>,
    /// True if a delta arrived in time.
    pub(crate) is_present: bool,
    /// True if the delta was refused.
    pub(crate) is_invalid: bool,
    /// True if the delta was evaluated in a round without trouble, so a harmful result counts.
    pub(crate) is_answerable: bool,
    /// Similarity of the delta to an earlier one.
    pub(crate) likeness: Option<Similarity>,
}

/// Returns all penalties for the conduct of a peer, in the order in which they apply.
///
/// The record must already contain the outcome of this round.
pub(crate) fn penalties_for(
    config: &GauntletConfig,
    record: &PeerRecord,
    conduct: Conduct,
    round: Round,
) -> Vec<(Offence, Effect)> {
    let ban = Effect::BannedUntil(ban_end(config, record, round));
    let for_silence = conduct.silence.map(|reason| penalty_for_silence(config, record, reason));
    let for_delta = conduct.is_invalid.then_some((Offence::Invalid, Effect::Cut(0.0)));
    let is_negative =
        conduct.is_answerable && record.evaluated.failures() > OutcomeWindow::LENGTH / 2;
    let for_harm =
        is_negative.then_some((Offence::Negative, Effect::Cut(config.penalties.negative)));
    // Only in a round with a failure: old failures must not ban a peer that delivers again.
    let has_failed =
        conduct.is_invalid || conduct.silence.is_some_and(|reason| reason != Exclusion::Missing);
    let is_unreliable = has_failed && record.delivered.failures() >= config.penalties.unreliable;
    let for_failures = is_unreliable.then_some((Offence::Unreliable, ban));
    let for_copy = conduct.likeness.map(|likeness| match likeness {
        Similarity::High => (Offence::Similar, Effect::Cut(config.penalties.similar)),
        Similarity::Max => (Offence::Copied, Effect::Reset),
        Similarity::Mega => (Offence::Plagiarised, ban),
    });
    [for_silence, for_delta, for_harm, for_failures, for_copy].into_iter().flatten().collect()
}

fn penalty_for_silence(
    config: &GauntletConfig,
    record: &PeerRecord,
    reason: Exclusion,
) -> (Offence, Effect) {
    let penalties = &config.penalties;
    if reason != Exclusion::Missing {
        return (Offence::Undelivered, Effect::Cut(undelivered_factor(config, record)));
    }
    let is_away = record.missed_rounds > penalties.inactive_rounds;
    (Offence::Inactive, if is_away { Effect::Reset } else { Effect::Cut(penalties.inactive) })
}

fn undelivered_factor(config: &GauntletConfig, record: &PeerRecord) -> f64 {
    let [first, second, further] = config.penalties.undelivered;
    match record.delivered.failures_in_a_row() {
        0 | 1 => first,
        2 => second,
        _ => further,
    }
}

/// The first round after a ban that starts with the next round.
fn ban_end(config: &GauntletConfig, record: &PeerRecord, round: Round) -> Round {
    // Each ban is twice as long as the one before. From the 17th on the length stays the same.
    let times = 1_u32.checked_shl(record.bans.min(16)).unwrap_or(u32::MAX);
    let length = config.penalties.ban_rounds.saturating_mul(times);
    Round(round.0.saturating_add(1).saturating_add(length))
}

/// Applies a penalty to the record of a peer.
pub(crate) fn apply_penalty(config: &GauntletConfig, record: &mut PeerRecord, effect: Effect) {
    match effect {
        Effect::Cut(factor) => {
            let left = record.trust * factor;
            // Without the floor, trust would shrink to denormal numbers.
            record.trust = if left < config.penalties.floor { 0.0 } else { left };
        }
        Effect::Reset => record.reset(config),
        Effect::BannedUntil(round) => {
            record.reset(config);
            record.bans = record.bans.saturating_add(1);
            record.banned_until = Some(round);
        }
    }
}
