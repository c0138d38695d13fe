//! The parameters of rounds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::objects::MAX_PEERS;

/// The settings of a run that determine when rounds end, which peers are active, and which objects
/// are kept.
///
/// - `min_peers` is at least 1 and at most `max_included`, which is at most [`MAX_PEERS`].
/// - `deadline`, `reveal` and `takeover` are whole numbers of milliseconds, from 1 ms to 30 days.
/// - `max_delta`, `patience`, `checkpoint_every` and `keep_checkpoints` are at least 1, `patience`
///   at most 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundParams {
    /// The longest payload of a delta in bytes.
    pub max_delta: u64,
    /// Peers that must join before round 0 ends. Later rounds wait for as many until their commit
    /// deadline.
    pub min_peers: u32,
    /// The most deltas that a round includes.
    pub max_included: u32,
    /// The commit deadline, counted from the first heartbeat of a round.
    #[serde(
        rename = "deadline_milliseconds",
        serialize_with = "write_duration",
        deserialize_with = "read_duration"
    )]
    pub deadline: Duration,
    /// The reveal deadline, counted from the end of commitments.
    #[serde(
        rename = "reveal_milliseconds",
        serialize_with = "write_duration",
        deserialize_with = "read_duration"
    )]
    pub reveal: Duration,
    /// Time after which the next validator may propose.
    #[serde(
        rename = "takeover_milliseconds",
        serialize_with = "write_duration",
        deserialize_with = "read_duration"
    )]
    pub takeover: Duration,
    /// Number of consecutive missed rounds after which a peer loses its slot.
    pub patience: u32,
    /// Outer rounds between two checkpoints.
    pub checkpoint_every: u32,
    /// Number of checkpoints that are kept. Deltas older than the oldest kept checkpoint may be
    /// removed.
    pub keep_checkpoints: u32,
}

/// A field, its value, and the rule that it breaks.
type RuleProblem = (&'static str, String, &'static str);

impl RoundParams {
    const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

    /// Returns the first invalid value.
    pub(crate) fn check(&self) -> Result<(), RuleProblem> {
        self.check_peers()?;
        for (field, duration) in
            [("deadline", self.deadline), ("reveal", self.reveal), ("takeover", self.takeover)]
        {
            let is_whole = duration.subsec_nanos().is_multiple_of(1_000_000);
            if duration.is_zero() || duration > Self::LONGEST || !is_whole {
                let reason = "it must be a whole number of milliseconds, from 1 ms to 30 days";
                return Err((field, format!("{duration:?}"), reason));
            }
        }
        if self.patience > 1000 {
            return Err(("patience", self.patience.to_string(), "it must be at most 1000"));
        }
        let positive = [
            ("max_delta", self.max_delta),
            ("patience", self.patience.into()),
            ("checkpoint_every", self.checkpoint_every.into()),
            ("keep_checkpoints", self.keep_checkpoints.into()),
        ];
        match positive.into_iter().find(|(_, value)| *value == 0) {
            Some((field, value)) => Err((field, value.to_string(), "it must be at least 1")),
            None => Ok(()),
        }
    }

    fn check_peers(&self) -> Result<(), RuleProblem> {
        if self.max_included == 0 || self.max_included as usize > MAX_PEERS {
            return Err((
                "max_included",
                self.max_included.to_string(),
                "it must be from 1 to 65536",
            ));
        }
        if self.min_peers == 0 || self.min_peers > self.max_included {
            return Err((
                "min_peers",
                self.min_peers.to_string(),
                "it must be from 1 to `max_included`",
            ));
        }
        Ok(())
    }
}

fn write_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn read_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
