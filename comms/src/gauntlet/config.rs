//! The constants of the Gauntlet, part of what the peers of a run agree on.

use serde::{Deserialize, Serialize};

use super::payouts::PayoutConfig;
use crate::gauntlet::checks::SimilarityConfig;
use crate::gauntlet::conduct::PenaltyConfig;
use crate::gauntlet::scoring::RatingConfig;

/// How peers are sampled, measured, rated, punished and paid.
///
/// The defaults are those of the published Gauntlet; constants that it does not have say so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GauntletConfig {
    /// Peers that are evaluated in one round; the cost of a round follows from it.
    pub evaluations: u32,
    /// The share of them that goes to whoever was evaluated least. Not published.
    #[serde(rename = "exploration")]
    pub exploration_share: f64,
    /// The weight in the draw of the others of a peer of whom nothing good is known, relative to others. Not published.
    #[serde(rename = "doubt")]
    pub unproven_weight_factor: f64,
    /// Once this many times `evaluations` peers delivered, one of as many groups of like ratings is drawn from.
    pub bins: u32,
    /// Peers of the next best scores whose deltas are fetched, too, in case better ones are of no use.
    pub reserves: u32,
    /// Windows of each kind that a delta is measured on.
    pub windows: u32,
    /// The share of the outer learning rate by which a delta is tried.
    pub eval_rate: f64,
    /// How much of the moving average stays at each evaluation.
    pub bma_decay: f64,
    /// The moving average below which a peer's score is zero, once its probation is over; in proportion to what so many
    /// evaluations can reach. Published are 0.1, whatever was reached.
    pub bma_bar: f64,
    /// Evaluations of a peer until its moving average is believed. Published for the run as a whole, not for each peer.
    pub probation: u32,
    /// What a delta that cannot be read scores in the match of a round.
    pub invalid_score: f64,
    /// The share of a good gain below which a delta is of no use. Not published.
    pub useful_share: f64,
    /// The share of a good gain from which on all deltas are equally good in the match of a round; 0 for no draws. Not
    /// published.
    pub draw_share: f64,
    /// How many times longer or shorter than the median a delta may be. Not published.
    pub norm_ratio: f64,
    /// How far losses that another machine measured may be from ours, relative to them. Not published.
    pub loss_tolerance: f64,
    /// Rounds after which a peer that stays away is forgotten. Not published.
    pub memory: u32,
    /// Constants of the ratings.
    pub rating: RatingConfig,
    /// When deltas are copies.
    pub overlap: SimilarityConfig,
    /// What costs how much.
    pub penalties: PenaltyConfig,
    /// How scores become shares of a reward.
    pub payout: PayoutConfig,
}

impl Default for GauntletConfig {
    fn default() -> Self {
        Self {
            evaluations: 20,
            exploration_share: 0.25,
            unproven_weight_factor: 0.1,
            bins: 5,
            reserves: 10,
            windows: 16,
            eval_rate: 0.2,
            bma_decay: 0.95,
            bma_bar: 0.3,
            probation: 10,
            invalid_score: -99.0,
            useful_share: 0.25,
            draw_share: 0.4,
            norm_ratio: 10.0,
            loss_tolerance: 1e-4,
            memory: 1000,
            rating: RatingConfig::default(),
            overlap: SimilarityConfig::default(),
            penalties: PenaltyConfig::default(),
            payout: PayoutConfig::default(),
        }
    }
}

/// A field, its value, and what is wrong with it.
pub(crate) type FieldProblem = (&'static str, String, &'static str);

impl GauntletConfig {
    /// Finds the first value that no run can have.
    ///
    /// # Errors
    /// The field, its value, and what it must be.
    pub fn check(&self) -> Result<(), FieldProblem> {
        let counts = [
            ("evaluations", self.evaluations),
            ("bins", self.bins),
            ("windows", self.windows),
            ("memory", self.memory),
            ("penalties.negative_streak", self.penalties.negative_streak),
            ("penalties.unreliable", self.penalties.unreliable),
            ("penalties.trouble_rank", self.penalties.trouble_rank),
            ("penalties.ban_rounds", self.penalties.ban_rounds),
        ];
        let in_range = |value: &u32| (1..=65_536).contains(value);
        if let Some((field, value)) = counts.into_iter().find(|(_, value)| !in_range(value)) {
            return Err((field, value.to_string(), "it must be from 1 to 65536"));
        }
        self.check_shares()?;
        self.check_positive()?;
        if !(self.invalid_score.is_finite() && self.invalid_score < 0.0) {
            return Err(("invalid_score", self.invalid_score.to_string(), "it must be below zero"));
        }
        self.overlap.check()
    }

    fn check_shares(&self) -> Result<(), FieldProblem> {
        let shares = [
            ("exploration", self.exploration_share),
            ("bma_decay", self.bma_decay),
            ("bma_bar", self.bma_bar),
            ("doubt", self.unproven_weight_factor),
            ("useful_share", self.useful_share),
            ("draw_share", self.draw_share),
            ("loss_tolerance", self.loss_tolerance),
            ("payout.burn", self.payout.burn),
            ("payout.included_share", self.payout.included_share),
            ("payout.reserve_ratio", self.payout.reserve_ratio),
            ("penalties.inactive", self.penalties.inactive),
            ("penalties.undelivered", self.penalties.undelivered[0]),
            ("penalties.undelivered", self.penalties.undelivered[1]),
            ("penalties.undelivered", self.penalties.undelivered[2]),
            ("penalties.negative", self.penalties.negative),
            ("penalties.similar", self.penalties.similar),
            ("penalties.floor", self.penalties.floor),
            ("penalties.network", self.penalties.network),
        ];
        match shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            Some((field, value)) => Err((field, value.to_string(), "it must be from 0 to 1")),
            None => Ok(()),
        }
    }

    fn check_positive(&self) -> Result<(), FieldProblem> {
        let positive = [
            ("eval_rate", self.eval_rate),
            ("rating.mu", self.rating.mu),
            ("rating.sigma", self.rating.sigma),
            ("rating.beta", self.rating.beta),
            ("rating.tau", self.rating.tau),
            ("rating.kappa", self.rating.kappa),
            ("payout.exponent", self.payout.exponent),
        ];
        let is_positive = |value: &f64| value.is_finite() && *value > 0.0;
        if let Some((field, value)) = positive.into_iter().find(|(_, value)| !is_positive(value)) {
            return Err((field, value.to_string(), "it must be above zero"));
        }
        let ratios = [("norm_ratio", self.norm_ratio), ("payout.steepness", self.payout.steepness)];
        match ratios.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 1.0)) {
            Some((field, value)) => Err((field, value.to_string(), "it must be at least 1")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_constants_pass_and_come_back_from_json() {
        let config = GauntletConfig::default();
        assert_eq!(config.check(), Ok(()));
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<GauntletConfig>(&text).unwrap(), config);
        assert_eq!(serde_json::from_str::<GauntletConfig>("{}").unwrap(), config);
        assert!(serde_json::from_str::<GauntletConfig>(r#"{"evaluation":3}"#).is_err());
    }

    #[test]
    fn what_no_run_can_have_is_named() {
        let none = GauntletConfig { evaluations: 0, ..GauntletConfig::default() };
        assert_eq!(none.check().unwrap_err().0, "evaluations");
        let nan = GauntletConfig { exploration_share: f64::NAN, ..GauntletConfig::default() };
        assert_eq!(nan.check().unwrap_err().0, "exploration");
        let rate = GauntletConfig { eval_rate: 0.0, ..GauntletConfig::default() };
        assert_eq!(rate.check().unwrap_err().0, "eval_rate");
        let mut levels = GauntletConfig::default();
        levels.overlap.high = 0.55;
        assert_eq!(levels.check().unwrap_err().0, "overlap");
    }
}
