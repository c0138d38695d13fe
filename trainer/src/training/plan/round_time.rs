//! What a round puts on the wire, and how long that takes.

use covey_model::config::ModelConfig;

use crate::config::schema::Config;

/// Bits of a sent value, positions and codes together: measured, see `docs/results/bench-codec.md`.
const BITS_PER_VALUE: f64 = 8.96;

/// Elements of a chunk, of which [`sparseloco.k`](crate::config::schema::ExchangeConfig) are sent.
const CHUNK: f64 = 4096.0;

/// The line of one peer to the bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Bits per second that it sends.
    pub up: f64,
    /// Bits per second that it fetches.
    pub down: f64,
}

/// One peer's share of the exchange of a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExchangePlan {
    /// Bytes of a delta.
    pub delta: f64,
    /// Deltas that a peer fetches: those of all others that enter.
    pub fetched: u64,
    /// Seconds of sending and then fetching; what the validators' decision adds is not in it.
    pub seconds: f64,
    /// Share of the exchange that passes while the peer trains on; 0 without `rounds.overlap`.
    pub hidden: f64,
}

impl ExchangePlan {
    /// The exchange of `model` among `peers` peers over `link`, when a peer trains `train_seconds` in a round.
    pub fn new(
        model: &ModelConfig,
        config: &Config,
        peers: u64,
        link: Link,
        train_seconds: Option<f64>,
    ) -> Self {
        let values = model.num_parameters() as f64 / CHUNK * config.sparseloco.k as f64;
        let delta = values * BITS_PER_VALUE / 8.0;
        let fetched = peers.min(u64::from(config.rounds.max_included)).saturating_sub(1);
        let seconds = 8.0 * (delta / link.up + delta * fetched as f64 / link.down);
        let covered = train_seconds.filter(|_| config.rounds.overlap);
        let hidden = covered
            .map_or(0.0, |train| if seconds > 0.0 { (train / seconds).min(1.0) } else { 1.0 });
        Self { delta, fetched, seconds, hidden }
    }

    /// Bytes that a peer sends and fetches in a round.
    pub fn bytes(&self) -> f64 {
        self.delta * (1 + self.fetched) as f64
    }

    /// Share of a round that a peer computes, when it trains `train_seconds` in it.
    pub fn utilisation(&self, train_seconds: f64) -> f64 {
        train_seconds / (train_seconds + self.seconds * (1.0 - self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::{Layers, Purpose};
    use covey_model::config::preset;

    fn plan(setting: (&str, &str), train_seconds: Option<f64>) -> ExchangePlan {
        let config =
            Layers::new().flag("test", setting.0, setting.1).resolve(Purpose::Show).unwrap().config;
        let link = Link { up: 110e6, down: 500e6 };
        ExchangePlan::new(&preset("covenant-72b").unwrap(), &config, 20, link, train_seconds)
    }

    #[test]
    fn the_published_run_exchanges_in_about_the_published_time() {
        // 70 s are published (12 bits a position, compressed otherwise); ours sends less.
        let plan = plan(("sparseloco.k", "64"), Some(1200.0));
        assert_eq!(plan.fetched, 19);
        assert!((1.2e9..1.4e9).contains(&plan.delta), "{}", plan.delta);
        assert_eq!(plan.hidden, 0.0);
        assert_eq!(plan.utilisation(1200.0), 1200.0 / (1200.0 + plan.seconds));
    }

    #[test]
    fn overlap_hides_what_training_covers() {
        let whole = plan(("rounds.overlap", "true"), Some(1e9));
        assert_eq!((whole.hidden, whole.utilisation(1e9)), (1.0, 1.0));
        let half = plan(("rounds.overlap", "true"), Some(whole.seconds / 2.0));
        assert!((half.hidden - 0.5).abs() < 1e-9);
    }
}
