//! The limits within which each constant must lie.
//!
//! Fields are named by their configuration keys, since the caller shows them to a user.

use super::gauntlet_config::GauntletConfig;
use super::similarity::SimilarityConfig;

/// The key of a field, its value, and the limit that the value breaks.
pub(crate) type FieldProblem = (&'static str, String, &'static str);

impl GauntletConfig {
    /// Checks that a run can have these values.
    ///
    /// # Errors
    /// The key of the first impossible value, the value, and its limit.
    pub fn check(&self) -> Result<(), FieldProblem> {
        self.check_counts()?;
        self.check_shares()?;
        self.check_positive()?;
        self.check_ratios()?;
        if !(self.invalid_score.is_finite() && self.invalid_score < 0.0) {
            return Err(("invalid_score", self.invalid_score.to_string(), "it must be below zero"));
        }
        self.overlap.check()
    }

    fn check_counts(&self) -> Result<(), FieldProblem> {
        let counts = [
            ("evaluations", self.num_evaluated),
            ("bins", self.rating_bins),
            ("windows", self.eval_windows),
            ("memory", self.forget_after_rounds),
            ("penalties.negative_streak", self.penalties.negative_streak),
            ("penalties.unreliable", self.penalties.unreliable),
            ("penalties.trouble_rank", self.penalties.min_helpful_peers),
            ("penalties.ban_rounds", self.penalties.ban_rounds),
        ];
        // 65536 is the most peers of a round, and far above any sensible number of rounds.
        match counts.into_iter().find(|(_, value)| !(1..=65_536).contains(value)) {
            Some((key, value)) => Err((key, value.to_string(), "it must be from 1 to 65536")),
            None => Ok(()),
        }
    }

    fn check_shares(&self) -> Result<(), FieldProblem> {
        let shares = [
            ("exploration", self.exploration_share),
            ("bma_decay", self.bma_decay),
            ("bma_bar", self.bma_threshold),
            ("doubt", self.unproven_weight_factor),
            ("useful_share", self.min_gain_ratio),
            ("draw_share", self.tie_gain_ratio),
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
            ("penalties.network", self.penalties.min_delivery_share),
        ];
        // Asked this way round, the check also rejects NaN.
        match shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            Some((key, value)) => Err((key, value.to_string(), "it must be from 0 to 1")),
            None => Ok(()),
        }
    }

    fn check_positive(&self) -> Result<(), FieldProblem> {
        let positive = [
            ("eval_rate", self.eval_rate_ratio),
            ("rating.mu", self.rating.mu),
            ("rating.sigma", self.rating.sigma),
            ("rating.beta", self.rating.beta),
            ("rating.tau", self.rating.tau),
            ("rating.kappa", self.rating.kappa),
            ("payout.exponent", self.payout.exponent),
        ];
        match positive.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            Some((key, value)) => Err((key, value.to_string(), "it must be above zero")),
            None => Ok(()),
        }
    }

    fn check_ratios(&self) -> Result<(), FieldProblem> {
        let ratios = [("norm_ratio", self.norm_ratio), ("payout.steepness", self.payout.steepness)];
        match ratios.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 1.0)) {
            Some((key, value)) => Err((key, value.to_string(), "it must be at least 1")),
            None => Ok(()),
        }
    }
}

impl SimilarityConfig {
    fn check(&self) -> Result<(), FieldProblem> {
        let levels = [0.0, self.high, self.max, self.mega, self.verbatim, 1.0];
        // A level of 0 would make every pair of deltas a copy.
        if levels.is_sorted() && self.high > 0.0 {
            return Ok(());
        }
        let limit = "its levels must ascend from above 0 to at most 1";
        Err(("overlap", format!("{self:?}"), limit))
    }
}
