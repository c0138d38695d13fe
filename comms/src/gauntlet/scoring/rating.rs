//! Plackett-Luce ratings of peers (Weng and Lin, 2011, Algorithm 4).
//!
//! In each round the evaluated peers play one match, ranked by gradient score. A rating is a normal
//! distribution over the peer's skill. A match moves the mean by the surprise of the result, and
//! reduces the variance. Results agree with `openskill` for Python to 5e-10, see
//! `comms/tests/openskill.rs`.

use serde::{Deserialize, Serialize};

use crate::gauntlet::config::RatingConfig;

/// The estimated skill of a peer: a normal distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rating {
    /// Mean.
    pub mu: f64,
    /// Standard deviation.
    pub sigma: f64,
}

/// The reason why a match cannot be played.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RatingError {
    /// A score that cannot be ordered.
    #[error("the score of player {player} is {score}, not a finite number")]
    Score {
        /// Index of the player, from 0.
        player: usize,
        /// The score.
        score: f64,
    },
    /// A number of scores that differs from the number of players.
    #[error("a match of {players} players has {scores} scores")]
    Count {
        /// Number of players.
        players: usize,
        /// Number of scores.
        scores: usize,
    },
}

impl Rating {
    /// The rating of a peer that played no match.
    pub fn initial(config: &RatingConfig) -> Self {
        Self { mu: config.mu, sigma: config.sigma }
    }

    /// A lower bound of the skill: `mu - 3 sigma`.
    pub fn ordinal(&self) -> f64 {
        self.mu - 3.0 * self.sigma
    }

    /// Variance of the performance in one match.
    fn variance(&self, config: &RatingConfig) -> f64 {
        self.sigma * self.sigma + config.beta * config.beta
    }

    /// The rating before a match, widened by `tau`.
    fn widened(&self, config: &RatingConfig) -> Self {
        Self { sigma: (self.sigma * self.sigma + config.tau * config.tau).sqrt(), ..*self }
    }
}

/// Returns the ratings after one match, in the order of `players`.
///
/// Higher scores are better, and equal scores tie. The cost is quadratic in the number of players.
///
/// # Errors
/// [`RatingError`] if there is not one finite score for each player.
pub fn play_match(
    config: &RatingConfig,
    players: &[Rating],
    scores: &[f64],
) -> Result<Vec<Rating>, RatingError> {
    if players.len() != scores.len() {
        return Err(RatingError::Count { players: players.len(), scores: scores.len() });
    }
    if let Some((player, score)) = scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
        return Err(RatingError::Score { player, score: *score });
    }
    let players = players.iter().map(|rating| rating.widened(config)).collect();
    let played = Match::new(config, players, scores);
    Ok((0..scores.len()).map(|player| played.rating_after(player)).collect())
}

/// One match, with the sums that the update of every player needs.
struct Match<'a> {
    config: &'a RatingConfig,
    players: Vec<Rating>,
    /// For each player, the number of players with a higher score.
    ranks: Vec<usize>,
    /// `c`: the spread of the difference of performances.
    spread: f64,
    /// `exp(mu / c)` of each player.
    strengths: Vec<f64>,
    /// For each player, the sum of strengths of all players with no higher score.
    rest: Vec<f64>,
    /// For each player, the number of players with the same rank, itself included.
    ties: Vec<f64>,
}

impl<'a> Match<'a> {
    fn new(config: &'a RatingConfig, players: Vec<Rating>, scores: &[f64]) -> Self {
        let ranks: Vec<usize> =
            scores.iter().map(|own| scores.iter().filter(|score| *score > own).count()).collect();
        let spread = players.iter().map(|rating| rating.variance(config)).sum::<f64>().sqrt();
        // `libm`, since the last bit of the platform's `exp` differs between machines.
        let strengths: Vec<f64> =
            players.iter().map(|rating| libm::exp(rating.mu / spread)).collect();
        let rest = ranks.iter().map(|rank| sum_from_rank(*rank, &ranks, &strengths)).collect();
        let ties = ranks
            .iter()
            .map(|own| ranks.iter().filter(|rank| *rank == own).count() as f64)
            .collect();
        Self { config, players, spread, strengths, rest, ties, ranks }
    }

    /// Algorithm 4: the mean moves by `omega`, the variance shrinks by `delta`.
    fn rating_after(&self, player: usize) -> Rating {
        let Rating { mu, sigma } = self.players[player];
        let (mut omega, mut delta) = (0.0, 0.0);
        for other in (0..self.ranks.len()).filter(|other| self.ranks[*other] <= self.ranks[player])
        {
            // The probability that this player wins among all players from the other's rank on.
            let chance = self.strengths[player] / self.rest[other];
            let surprise = if other == player { 1.0 - chance } else { -chance };
            omega += surprise / self.ties[other];
            delta += chance * (1.0 - chance) / self.ties[other];
        }
        let share = sigma / self.spread;
        let shrunk = 1.0 - delta * share * share * share;
        // `kappa` keeps the variance positive after a very surprising match.
        Rating {
            mu: mu + omega * sigma * share,
            sigma: sigma * shrunk.max(self.config.kappa).sqrt(),
        }
    }
}

/// The sum of the strengths of all players from `lowest` on, in the order of players.
fn sum_from_rank(lowest: usize, ranks: &[usize], strengths: &[f64]) -> f64 {
    ranks
        .iter()
        .zip(strengths)
        .filter(|(rank, _)| **rank >= lowest)
        .map(|(_, strength)| strength)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn winners_rise_losers_fall_and_uncertainty_shrinks() {
        let config = RatingConfig::default();
        let initial = Rating::initial(&config);
        let after = play_match(&config, &[initial; 3], &[0.1, 0.3, 0.2]).unwrap();
        assert!(after[1].mu > after[2].mu && after[2].mu > after[0].mu);
        assert!(after.iter().all(|rating| rating.sigma < config.sigma));
        assert!(after[1].ordinal() > initial.ordinal());
    }

    #[test]
    fn a_tie_among_equals_moves_no_mean() {
        let config = RatingConfig::default();
        let after = play_match(&config, &[Rating::initial(&config); 4], &[0.5; 4]).unwrap();
        assert!(after.iter().all(|rating| (rating.mu - config.mu).abs() < 1e-9), "{after:?}");
    }

    #[test]
    fn each_player_needs_one_finite_score() {
        let config = RatingConfig::default();
        let players = [Rating::initial(&config); 2];
        assert_eq!(
            play_match(&config, &players, &[1.0]),
            Err(RatingError::Count { players: 2, scores: 1 })
        );
        let error = play_match(&config, &players, &[1.0, f64::INFINITY]).unwrap_err();
        assert_eq!(error, RatingError::Score { player: 1, score: f64::INFINITY });
        assert_eq!(play_match(&config, &[], &[]), Ok(vec![]));
    }
}
