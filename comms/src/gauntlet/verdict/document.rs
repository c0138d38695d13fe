//! The verdict as a document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::difference::Difference;
use crate::gauntlet::conduct::PeerTable;
use crate::gauntlet::judge::{Gauntlet, RoundOutcome};
use crate::gauntlet::observations::Observations;
use crate::gauntlet::scoring::{Measurement, ProbeLosses};
use crate::primitives::{Digest, PeerId};

const VERSION: u16 = 1;

/// The judgement of a round: all observations of the proposer, and the outcome that follows.
///
/// - The records before the round are in the verdict of the previous round.
/// - The encoding has at most [`Verdict::MAX_LENGTH`] bytes: JSON without white space, with keys in
///   the order of the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Digest of the verdict of the previous round; `None` in round 0.
    pub previous: Option<Digest>,
    /// The observations.
    pub inputs: Observations,
    /// The outcome that follows from them.
    pub outcome: RoundOutcome,
    /// Digest of the weights after the round.
    pub weights: Digest,
}

/// The reason why bytes are not a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerdictError {
    /// More bytes than a verdict can have.
    #[error("verdict has {got} bytes, limit is {limit}")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
        /// The length in bytes.
        got: u64,
    },

    /// Not JSON, or with other fields than a verdict has.
    #[error("verdict cannot be read")]
    NotReadable(#[source] serde_json::Error),

    /// Written by another release.
    #[error("verdict has version {got}, this build reads {expected}")]
    UnknownVersion {
        /// The version of this build.
        expected: u16,
        /// The version of the verdict.
        got: u16,
    },

    /// A correct document in an encoding that differs from the canonical one.
    #[error("verdict is not in its canonical form")]
    NotCanonical,
}

impl VerdictError {
    /// The next step for the user, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownVersion { .. } => {
                Some("run the same release on all validators of a run".into())
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

/// The only field that is read from a document of an unknown version.
#[derive(Deserialize)]
struct VerdictVersion {
    version: u16,
}

impl Verdict {
    /// The longest encoding in bytes: that of a round with as many peers as a run can have.
    // 65,536 peers with up to 2 KiB each.
    pub const MAX_LENGTH: u64 = 128 << 20;

    /// The canonical encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = VerdictDocument { version: VERSION, verdict: self };
        serde_json::to_vec(&document).expect("names, numbers and maps by text are JSON")
    }

    /// Parses the canonical encoding. The content is not verified.
    ///
    /// # Errors
    /// The first reason why these bytes are not a verdict.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerdictError> {
        let got = bytes.len() as u64;
        if got > Self::MAX_LENGTH {
            return Err(VerdictError::TooLong { limit: Self::MAX_LENGTH, got });
        }
        // The version first: the fields of another version are not those of this one.
        let VerdictVersion { version: got } =
            serde_json::from_slice(bytes).map_err(VerdictError::NotReadable)?;
        if got != VERSION {
            return Err(VerdictError::UnknownVersion { expected: VERSION, got });
        }
        let document: VerdictDocument<Self> =
            serde_json::from_slice(bytes).map_err(VerdictError::NotReadable)?;
        // One encoding per verdict, so its digest identifies its content.
        if document.verdict.to_bytes() == bytes {
            Ok(document.verdict)
        } else {
            Err(VerdictError::NotCanonical)
        }
    }

    /// Recomputes the outcome from the observations and the records before the round.
    ///
    /// [`compare_with`](Self::compare_with) checks the observations and the weights.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, gauntlet: &Gauntlet, before: &PeerTable) -> Result<(), Difference> {
        gauntlet.check_inputs(before, &self.inputs)?;
        Difference::between("outcome", &gauntlet.judge(before, &self.inputs), &self.outcome)
    }

    /// Compares everything except the outcome with the verdict of another machine: losses within
    /// `tolerance`, the rest exactly.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare_with(&self, ours: &Self, tolerance: f64) -> Result<(), Difference> {
        Difference::between("previous", &ours.previous, &self.previous)?;
        let (expected, got) = (without_losses(&ours.inputs), without_losses(&self.inputs));
        Difference::between("inputs", &expected, &got)?;
        self.compare_measurements(&ours.inputs.measurements, tolerance)?;
        Difference::between("weights", &ours.weights, &self.weights)
    }

    /// Compares losses with those of another machine. Each pair must agree within `tolerance`,
    /// relative to the larger of the two.
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
            Some(peer) => {
                let path = format!("inputs.measurements.{peer}");
                Err(Difference::new(path, "nothing", "a measurement"))
            }
            None => Ok(()),
        }
    }
}

fn without_losses(inputs: &Observations) -> Observations {
    Observations { measurements: BTreeMap::new(), ..inputs.clone() }
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
    match pairs.into_iter().find(|(_, expected, got)| !is_close(*expected, *got, tolerance)) {
        Some((name, expected, got)) => Err(Difference::new(
            format!("{path}.{name}"),
            format!("{expected} +- {tolerance} of it"),
            got,
        )),
        None => Ok(()),
    }
}

/// False if one of the losses is NaN, since every comparison with NaN is false.
fn is_close(one: f64, other: f64, tolerance: f64) -> bool {
    (one - other).abs() <= tolerance * one.abs().max(other.abs())
}
