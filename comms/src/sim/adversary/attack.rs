//! Attacks of dishonest peers.

use std::fmt;

use bytes::Bytes;

use super::delta::{LENGTH, SENT, ToyDelta};
use super::regression::{NUM_CHUNKS, SIZE};
use crate::primitives::{Round, SeededRng};

/// The way in which a copy is disguised as another delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evasion {
    /// No change.
    Verbatim,
    /// The same positions with other codes and another scale.
    Requantised,
    /// Chunks in another order, as if they belonged to other tensors.
    Permuted,
    /// A third of the positions replaced with noise.
    Mixed,
}

/// An attack: the deviation of a dishonest peer from honest work.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Attack {
    /// Sends random changes of the usual norm.
    Noise,
    /// Trains, and sends the negative delta.
    SignFlip,
    /// Trains, and sends the delta scaled by this factor.
    Scaled(f32),
    /// Sends a copy of another peer's delta from the previous round.
    CopiesPrevious(Evasion),
    /// Sends a copy of a delta that an honest peer leaked before the reveal.
    CopiesLeak(Evasion),
    /// Trains on the weights of so many rounds ago, and names the current base.
    Stale(u32),
    /// Trains, and names the base of the previous round.
    WrongBase,
    /// Trains on windows that are assigned to no peer.
    OtherData,
    /// Trains on one of its windows only.
    FreeRider,
    /// Trains, and commits after the deadline.
    Late,
    /// Commits, and does not reveal.
    Withholds,
    /// Alternates between honest work and a sign flip.
    Alternates,
    /// Sends the same delta as other dishonest peers, trained by one of them.
    Colludes,
    /// Sends malformed payloads of several kinds, or another delta than it committed to.
    Malformed,
    /// Performs each of the above in turn.
    Everything,
}

impl Attack {
    /// Every single attack, without [`Everything`](Self::Everything).
    // In this order: the attack of a round in `in_round` depends on it.
    pub const KINDS: [Self; 21] = [
        Self::Noise,
        Self::SignFlip,
        Self::Scaled(100.0),
        Self::Scaled(1e-3),
        Self::CopiesPrevious(Evasion::Verbatim),
        Self::CopiesPrevious(Evasion::Requantised),
        Self::CopiesPrevious(Evasion::Permuted),
        Self::CopiesPrevious(Evasion::Mixed),
        Self::CopiesLeak(Evasion::Verbatim),
        Self::CopiesLeak(Evasion::Requantised),
        Self::CopiesLeak(Evasion::Permuted),
        Self::CopiesLeak(Evasion::Mixed),
        Self::Stale(10),
        Self::WrongBase,
        Self::OtherData,
        Self::FreeRider,
        Self::Late,
        Self::Withholds,
        Self::Alternates,
        Self::Colludes,
        Self::Malformed,
    ];

    /// The attack in one round.
    pub(super) fn in_round(self, round: Round) -> Self {
        match self {
            Self::Everything => Self::KINDS[round.0 as usize % Self::KINDS.len()],
            one => one,
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noise => formatter.write_str("random noise"),
            Self::SignFlip => formatter.write_str("sign flip"),
            Self::Scaled(factor) => write!(formatter, "scaled by {factor}"),
            Self::CopiesPrevious(evasion) => {
                write!(formatter, "copy of the round before, {evasion}")
            }
            Self::CopiesLeak(evasion) => write!(formatter, "copy of a leak, {evasion}"),
            Self::Stale(rounds) => write!(formatter, "weights of {rounds} rounds ago, unsaid"),
            Self::WrongBase => formatter.write_str("stale base"),
            Self::OtherData => formatter.write_str("other data than assigned"),
            Self::FreeRider => formatter.write_str("a twelfth of the work"),
            Self::Late => formatter.write_str("late"),
            Self::Withholds => formatter.write_str("commits, never reveals"),
            Self::Alternates => formatter.write_str("alternating good and bad"),
            Self::Colludes => formatter.write_str("one delta, sent by all three"),
            Self::Malformed => formatter.write_str("malformed, or not what was committed"),
            Self::Everything => formatter.write_str("all of these in turn"),
        }
    }
}

impl fmt::Display for Evasion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Verbatim => "verbatim",
            Self::Requantised => "re-quantised",
            Self::Permuted => "permuted",
            Self::Mixed => "a third noise",
        })
    }
}

impl Evasion {
    /// A disguised copy of a delta.
    pub(super) fn apply(self, original: &ToyDelta, rng: &mut SeededRng) -> ToyDelta {
        let mut copy = original.clone();
        match self {
            Self::Verbatim => {}
            Self::Requantised => {
                // Larger scale and smaller codes: nearly the same values in other bytes.
                copy.scale *= 1.25;
                copy.changes
                    .iter_mut()
                    .for_each(|(_, code)| *code = (f32::from(*code) / 1.25).round() as i8);
            }
            Self::Permuted => {
                // By whole chunks and by at least one, so no chunk stays in place.
                copy.changes.rotate_left(SENT * (1 + rng.bits() as usize % (NUM_CHUNKS - 1)))
            }
            Self::Mixed => {
                let noise = noise(original.norm(), rng);
                let chunks = copy.changes.chunks_mut(SENT).zip(noise.changes.chunks(SENT));
                chunks.for_each(|(chunk, noise)| mix(chunk, noise));
            }
        }
        copy
    }
}

/// Replaces every third change with one of the noise, if its position is free.
///
/// Positions must stay distinct, or the copy would be malformed.
fn mix(chunk: &mut [(u8, i8)], noise: &[(u8, i8)]) {
    for at in (0..chunk.len()).step_by(3) {
        if !chunk.iter().any(|(position, _)| *position == noise[at].0) {
            chunk[at] = noise[at];
        }
    }
    chunk.sort_unstable();
}

/// A random delta with this norm.
pub(super) fn noise(norm: f64, rng: &mut SeededRng) -> ToyDelta {
    // Scaled after quantization, so the norm is that of the sent values.
    let mut delta = ToyDelta::of(&(0..SIZE).map(|_| rng.normal()).collect::<Vec<_>>());
    delta.scale *= (norm / delta.norm()) as f32;
    delta
}

/// A malformed payload of one of six kinds.
pub(super) fn malformed(
    kind: u32,
    honest: &ToyDelta,
    max_length: u64,
    rng: &mut SeededRng,
) -> Bytes {
    let mut bytes = honest.to_bytes().to_vec();
    match kind % 6 {
        0 => bytes.clear(),
        1 => bytes.truncate(LENGTH / 2),
        // A scale that is not finite: one such value would spread to all weights.
        2 => bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes()),
        // Positions out of order.
        3 => bytes[4..].rotate_left(2),
        4 => bytes[4..].iter_mut().for_each(|byte| *byte = rng.bits() as u8),
        // One byte over the limit: readers must not download it.
        _ => bytes.resize(max_length as usize + 1, 0),
    }
    bytes.into()
}
