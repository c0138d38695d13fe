//! The document of a judgement, which anybody can repeat.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::difference::Difference;
use crate::gauntlet::conduct::PeerTable;
use crate::gauntlet::judge::{Gauntlet, RoundOutcome};
use crate::gauntlet::observations::Observations;
use crate::gauntlet::scoring::{Measurement, ProbeLosses};
use crate::primitives::{Digest, PeerId};

const VERSION: u16 = 1;

/// What a validator says of a round: all that it saw, and all that follows.
///
/// - The records before a round are those of the verdict before, which it names.
/// - Its encoding has at most [`Verdict::MAX_LENGTH`] bytes: JSON without white space, keys in the order of the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The digest of the verdict that the round before ended with; nothing in round 0.
    pub previous: Option<Digest>,
    /// What was observed.
    pub inputs: Observations,
    /// What follows from it.
    pub outcome: RoundOutcome,
    /// The digest of the weights after the round.
    pub weights: Digest,
}

/// Why a verdict is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerdictError {
    /// Larger than any verdict.
    #[error("verdict has {got} bytes, limit is {limit}")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
        /// Its length in bytes.
        got: u64,
    },

    /// Not JSON, or not of the right form.
    #[error("verdict cannot be read")]
    NotReadable(#[source] serde_json::Error),

    /// Written by another release.
    #[error("verdict has version {got}, this build reads {expected}")]
    UnknownVersion {
        /// The version of this build.
        expected: u16,
        /// The verdict's.
        got: u16,
    },

    /// The right content in other bytes than the one encoding.
    #[error("verdict is not in its canonical form")]
    NotCanonical,
}

impl VerdictError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownVersion { .. } => {
                Some("all validators of a run need the same release".into())
            }
            _ => None,
        }
    }
}

/// The document as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VerdictDocument<V> {
    version: u16,
    verdict: V,
}

/// The only field that is read of a document of an unknown version.
#[derive(Deserialize)]
struct VerdictVersion {
    version: u16,
}

impl Verdict {
    /// The longest encoding in bytes: that of as many peers as a run may have.
    pub const MAX_LENGTH: u64 = 128 << 20;

    /// The one encoding of this verdict.
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = VerdictDocument { version: VERSION, verdict: self };
        serde_json::to_vec(&document).expect("names, numbers and maps by text are JSON")
    }

    /// Reads the encoding back; what it says is not held to anything.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerdictError> {
        let got = bytes.len() as u64;
        if got > Self::MAX_LENGTH {
            return Err(VerdictError::TooLong { limit: Self::MAX_LENGTH, got });
        }
        let VerdictVersion { version: got } =
            serde_json::from_slice(bytes).map_err(VerdictError::NotReadable)?;
        if got != VERSION {
            return Err(VerdictError::UnknownVersion { expected: VERSION, got });
        }
        let document: VerdictDocument<Self> =
            serde_json::from_slice(bytes).map_err(VerdictError::NotReadable)?;
        match document.verdict.to_bytes() == bytes {
            true => Ok(document.verdict),
            false => Err(VerdictError::NotCanonical),
        }
    }

    /// Holds what follows to what was observed and to the records of the round before.
    ///
    /// That the inputs are the true ones, and that the weights are those that follow, is for [`hold_to`](Self::hold_to).
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, gauntlet: &Gauntlet, before: &PeerTable) -> Result<(), Difference> {
        gauntlet.check_inputs(before, &self.inputs)?;
        Difference::between("outcome", &gauntlet.judge(before, &self.inputs), &self.outcome)
    }

    /// Holds everything but the outcome to what another machine found: losses within `tolerance`, all else exactly.
    ///
    /// # Errors
    /// The first difference.
    pub fn hold_to(&self, ours: &Self, tolerance: f64) -> Result<(), Difference> {
        Difference::between("previous", &ours.previous, &self.previous)?;
        let without_losses = |inputs: &Observations| Observations {
            measurements: BTreeMap::new(),
            ..inputs.clone()
        };
        Difference::between(
            "inputs",
            &without_losses(&ours.inputs),
            &without_losses(&self.inputs),
        )?;
        self.compare_measurements(&ours.inputs.measurements, tolerance)?;
        Difference::between("weights", &ours.weights, &self.weights)
    }

    /// Holds losses to those that another machine measured, each within `tolerance` relative to the larger of the two.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare_measurements(
        &self,
        ours: &BTreeMap<PeerId, Measurement>,
        tolerance: f64,
    ) -> Result<(), Difference> {
        let theirs = &self.inputs.measurements;
        for (peer, measurement) in ours {
            let path = format!("inputs.measurements.{peer}");
            let Some(got) = theirs.get(peer) else {
                return Err(Difference::new(path, "a measurement", "nothing"));
            };
            compare_losses(&format!("{path}.own"), &measurement.own, &got.own, tolerance)?;
            compare_losses(&format!("{path}.random"), &measurement.random, &got.random, tolerance)?;
        }
        match theirs.keys().find(|peer| !ours.contains_key(peer)) {
            Some(peer) => Err(Difference::new(
                format!("inputs.measurements.{peer}"),
                "nothing",
                "a measurement",
            )),
            None => Ok(()),
        }
    }
}

fn compare_losses(
    path: &str,
    expected: &ProbeLosses,
    got: &ProbeLosses,
    tolerance: f64,
) -> Result<(), Difference> {
    let pairs = [
        ("before", expected.before, got.before),
        ("after", expected.after, got.after),
        ("typical", expected.typical, got.typical),
    ];
    // Written so that a loss that is no number is a difference.
    let is_close =
        |one: f64, other: f64| (one - other).abs() <= tolerance * one.abs().max(other.abs());
    match pairs.into_iter().find(|(_, expected, got)| !is_close(*expected, *got)) {
        Some((name, expected, got)) => Err(Difference::new(
            format!("{path}.{name}"),
            format!("{expected} +- {tolerance} of it"),
            got,
        )),
        None => Ok(()),
    }
}
