//! Skill of peers from who did better than whom: Plackett-Luce ratings (Weng and Lin, 2011, Algorithm 4), with the
//! constants of the Gauntlet.
//!
//! Each round the evaluated peers play one match, ranked by score. A rating is a belief about a peer's skill, a mean and
//! how uncertain it is; a match moves the mean by how surprising the outcome was and makes the belief more certain.

use serde::{Deserialize, Serialize};

/// Constants of the ratings; the published run's by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RatingConfig {
    /// Mean of a peer that has played no match.
    pub mu: f64,
    /// Its uncertainty, a standard deviation.
    pub sigma: f64,
    /// Spread of performances around a skill: what one match says less the larger it is.
    pub beta: f64,
    /// Uncertainty that every match adds first, so that beliefs never freeze.
    pub tau: f64,
    /// Smallest factor on the squared uncertainty of one match.
    pub kappa: f64,
}

impl Default for RatingConfig {
    fn default() -> Self {
        Self { mu: 25.0, sigma: 25.0 / 3.0, beta: 7.0, tau: 0.1, kappa: 1e-4 }
    }
}

/// What is believed of a peer's skill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rating {
    /// Mean.
    pub mu: f64,
    /// Standard deviation.
    pub sigma: f64,
}

/// A match that cannot be played.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RatingError {
    /// A score that has no place in an order.
    #[error("the score of player {player} is {score}")]
    Score {
        /// The player, counted from 0.
        player: usize,
        /// What it scored.
        score: f64,
    },
    /// Not one score for every player.
    #[error("{players} players, but {scores} scores")]
    Count {
        /// Players of the match.
        players: usize,
        /// Scores given.
        scores: usize,
    },
}

impl Rating {
    /// What the peer's skill is at least, most likely: `mu - 3 sigma`.
    pub fn ordinal(&self) -> f64 {
        self.mu - 3.0 * self.sigma
    }
}

impl RatingConfig {
    /// The belief about somebody who has played no match.
    pub fn joining_peer(&self) -> Rating {
        Rating { mu: self.mu, sigma: self.sigma }
    }

    /// The ratings of all players after one match, in their order; higher scores are better, equal ones a draw.
    ///
    /// # Errors
    /// [`RatingError`] for another number of scores than players, or scores that are not finite.
    pub fn play(&self, players: &[Rating], scores: &[f64]) -> Result<Vec<Rating>, RatingError> {
        if players.len() != scores.len() {
            return Err(RatingError::Count { players: players.len(), scores: scores.len() });
        }
        if let Some((player, score)) =
            scores.iter().enumerate().find(|(_, score)| !score.is_finite())
        {
            return Err(RatingError::Score { player, score: *score });
        }
        let sigma = |rating: &Rating| (rating.sigma * rating.sigma + self.tau * self.tau).sqrt();
        let players = players.iter().map(|rating| Rating { sigma: sigma(rating), ..*rating });
        let game = Match::new(self, players.collect(), scores);
        Ok((0..scores.len()).map(|player| game.rating_after(player)).collect())
    }
}

/// One match, with the sums that every player's update needs.
struct Match<'a> {
    config: &'a RatingConfig,
    players: Vec<Rating>,
    /// How many did better.
    ranks: Vec<usize>,
    /// `c`: the spread of the difference of performances.
    spread: f64,
    /// `exp(mu / c)` of every player.
    strengths: Vec<f64>,
    /// Of every player, the strengths of all who did no better.
    rest: Vec<f64>,
    /// Of every player, how many have its rank.
    ties: Vec<f64>,
}

impl<'a> Match<'a> {
    fn new(config: &'a RatingConfig, players: Vec<Rating>, scores: &[f64]) -> Self {
        let rank = |own: &f64| scores.iter().filter(|score| *score > own).count();
        let ranks: Vec<usize> = scores.iter().map(rank).collect();
        let variance = |rating: &Rating| rating.sigma * rating.sigma + config.beta * config.beta;
        let spread = players.iter().map(variance).sum::<f64>().sqrt();
        // Not the platform's: the last bit of an exponential differs between them.
        let strengths: Vec<f64> =
            players.iter().map(|rating| libm::exp(rating.mu / spread)).collect();
        let no_better = |own: &usize| -> f64 {
            ranks
                .iter()
                .zip(&strengths)
                .filter(|(rank, _)| *rank >= own)
                .map(|(_, strength)| strength)
                .sum()
        };
        let rest = ranks.iter().map(no_better).collect();
        let ties = ranks
            .iter()
            .map(|own| ranks.iter().filter(|rank| *rank == own).count() as f64)
            .collect();
        Self { config, players, spread, strengths, rest, ties, ranks }
    }

    /// Equations of Algorithm 4: the mean moves by `omega`, the uncertainty shrinks by `delta`.
    fn rating_after(&self, player: usize) -> Rating {
        let Rating { mu, sigma } = self.players[player];
        let (mut omega, mut delta) = (0.0, 0.0);
        for other in (0..self.ranks.len()).filter(|other| self.ranks[*other] <= self.ranks[player])
        {
            // Chance that this player is the best of all who did no better than the other.
            let chance = self.strengths[player] / self.rest[other];
            let surprise = if other == player { 1.0 - chance } else { -chance };
            omega += surprise / self.ties[other];
            delta += chance * (1.0 - chance) / self.ties[other];
        }
        let share = sigma / self.spread;
        let shrunk = 1.0 - delta * share * share * share;
        Rating {
            mu: mu + omega * sigma * share,
            sigma: sigma * shrunk.max(self.config.kappa).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn winners_rise_losers_fall_and_all_are_better_known() {
        let config = RatingConfig::default();
        let after = config.play(&[config.joining_peer(); 3], &[0.1, 0.3, 0.2]).unwrap();
        assert!(after[1].mu > after[2].mu && after[2].mu > after[0].mu);
        assert!(after.iter().all(|rating| rating.sigma < config.sigma));
        assert!(after[1].ordinal() > config.joining_peer().ordinal());
    }

    #[test]
    fn a_draw_among_equals_moves_nobody() {
        let config = RatingConfig::default();
        let after = config.play(&[config.joining_peer(); 4], &[0.5; 4]).unwrap();
        assert!(after.iter().all(|rating| (rating.mu - config.mu).abs() < 1e-9), "{after:?}");
    }

    #[test]
    fn scores_must_be_numbers_and_one_for_each() {
        let config = RatingConfig::default();
        let players = [config.joining_peer(); 2];
        assert_eq!(
            config.play(&players, &[1.0]),
            Err(RatingError::Count { players: 2, scores: 1 })
        );
        let error = config.play(&players, &[1.0, f64::INFINITY]).unwrap_err();
        assert_eq!(error, RatingError::Score { player: 1, score: f64::INFINITY });
        assert_eq!(config.play(&[], &[]), Ok(vec![]));
    }
}
