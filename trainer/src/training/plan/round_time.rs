//! Estimate of the bytes and seconds of the exchange in a round.

use covey_model::config::ModelConfig;

use crate::config::schema::Config;

/// Bits per sent value, positions and codes together. Measured, see `docs/results/bench-codec.md`.
const BITS_PER_VALUE: f64 = 8.96;

/// Elements per chunk, of which [`sparseloco.k`](crate::config::schema::ExchangeConfig) are sent.
const CHUNK: f64 = 4096.0;

/// The network link between a peer and the bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkSpeed {
    /// Upload in bits per second.
    pub up: f64,
    /// Download in bits per second.
    pub down: f64,
}

/// The exchange of one peer in a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExchangePlan {
    /// Size of a delta in bytes.
    pub delta: f64,
    /// Number of deltas that a peer downloads: the included deltas of all other peers.
    pub fetched: u64,
    /// Seconds to upload one delta and then download the others. The time of the validators is not
    /// included.
    pub seconds: f64,
    /// Share of the exchange during which the peer trains; 0 unless `rounds.overlap` is set.
    pub hidden: f64,
}

impl ExchangePlan {
    /// The exchange of `model` among `peers` peers over `link`, with `train_seconds` of training
    /// per round.
    pub fn new(
        model: &ModelConfig,
        config: &Config,
        peers: u64,
        link: LinkSpeed,
        train_seconds: Option<f64>,
    ) -> Self {
        let values = model.num_parameters() as f64 / CHUNK * config.sparseloco.k as f64;
        let delta = values * BITS_PER_VALUE / 8.0;
        // A peer has its own delta already.
        let fetched = peers.min(u64::from(config.rounds.max_included)).saturating_sub(1);
        let seconds = 8.0 * (delta / link.up + delta * fetched as f64 / link.down);
        let covered = train_seconds.filter(|_| config.rounds.overlap);
        // An infinitely fast link takes 0 seconds, and all of them are hidden.
        let hidden = covered
            .map_or(0.0, |train| if seconds > 0.0 { (train / seconds).min(1.0) } else { 1.0 });
        Self { delta, fetched, seconds, hidden }
    }

    /// Bytes that a peer uploads and downloads in a round.
    pub fn bytes(&self) -> f64 {
        self.delta * (1 + self.fetched) as f64
    }

    /// Share of a round in which a peer computes, with `train_seconds` of training per round.
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
        let link = LinkSpeed { up: 110e6, down: 500e6 };
        ExchangePlan::new(&preset("covenant-72b").unwrap(), &config, 20, link, train_seconds)
    }

    #[test]
    fn the_exchange_of_covenant_72b_takes_about_the_published_time() {
        // Covenant-72B reports 70 s, with 12 bits per position and another compression.
        let plan = plan(("sparseloco.k", "64"), Some(1200.0));
        assert_eq!(plan.fetched, 19);
        assert!((1.2e9..1.4e9).contains(&plan.delta), "{}", plan.delta);
        assert_eq!(plan.hidden, 0.0);
        assert_eq!(plan.utilisation(1200.0), 1200.0 / (1200.0 + plan.seconds));
    }

    #[test]
    fn overlap_hides_the_exchange_during_training() {
        let whole = plan(("rounds.overlap", "true"), Some(1e9));
        assert_eq!((whole.hidden, whole.utilisation(1e9)), (1.0, 1.0));
        let half = plan(("rounds.overlap", "true"), Some(whole.seconds / 2.0));
        assert!((half.hidden - 0.5).abs() < 1e-9);
    }
}
