//! Ways to cheat.

use std::fmt;

use bytes::Bytes;

use super::delta::{LENGTH, SENT, ToyDelta};
use super::regression::{NUM_CHUNKS, SIZE};
use crate::primitives::{Round, SeededRng};

/// How a copy is made to look like another delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evasion {
    /// Not at all.
    Verbatim,
    /// The same places with other codes and another scale.
    Requantised,
    /// Chunks in another order, as if they were other tensors.
    Permuted,
    /// A third of its places replaced with noise.
    Mixed,
}

/// What a cheat does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Attack {
    /// Sends random changes of the usual size.
    Noise,
    /// Trains, and sends the opposite.
    SignFlip,
    /// Trains, and sends that many times as much.
    Scaled(f32),
    /// Sends what another peer sent in the round before.
    CopiesPrevious(Evasion),
    /// Sends what an honest peer that cannot keep a secret is about to send.
    CopiesLeak(Evasion),
    /// Trains on the weights of some rounds ago, and says nothing of it.
    Stale(u32),
    /// Trains, and says that it was on the weights of the round before.
    WrongBase,
    /// Trains on windows that were not assigned to it.
    OtherData,
    /// Trains on one window of all.
    FreeRider,
    /// Trains, and commits after the deadline.
    Late,
    /// Commits and never reveals.
    Withholds,
    /// Does its work in every other round, and the opposite in the others.
    Alternates,
    /// One of several that all send what one of them has learned, committed in the same moment.
    Colludes,
    /// Sends what is no delta, in another way each round; or another delta than it committed to.
    Malformed,
    /// Does each of the above in turn.
    Everything,
}

impl Attack {
    /// Every kind by itself.
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

    /// What is done in a round.
    pub(crate) fn in_round(self, round: Round) -> Self {
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
    /// A delta that is made from another one.
    pub(crate) fn apply(self, original: &ToyDelta, dice: &mut SeededRng) -> ToyDelta {
        let mut copy = original.clone();
        match self {
            Self::Verbatim => {}
            Self::Requantised => {
                copy.scale *= 1.25;
                copy.changes
                    .iter_mut()
                    .for_each(|(_, code)| *code = (f32::from(*code) / 1.25).round() as i8);
            }
            Self::Permuted => {
                copy.changes.rotate_left(SENT * (1 + dice.bits() as usize % (NUM_CHUNKS - 1)))
            }
            Self::Mixed => {
                let noise = noise(original.norm(), dice);
                let chunks = copy.changes.chunks_mut(SENT).zip(noise.changes.chunks(SENT));
                chunks.for_each(|(chunk, noise)| mix(chunk, noise));
            }
        }
        copy
    }
}

/// Replaces every third change with one of another chunk, where the place is free.
fn mix(chunk: &mut [(u8, i8)], noise: &[(u8, i8)]) {
    for at in (0..chunk.len()).step_by(3) {
        if !chunk.iter().any(|(position, _)| *position == noise[at].0) {
            chunk[at] = noise[at];
        }
    }
    chunk.sort_unstable();
}

/// Random changes with this norm.
pub(crate) fn noise(norm: f64, dice: &mut SeededRng) -> ToyDelta {
    let mut delta = ToyDelta::of(&(0..SIZE).map(|_| dice.normal()).collect::<Vec<_>>());
    delta.scale *= (norm / delta.norm()) as f32;
    delta
}

/// Bytes that are no delta, in one of several ways.
pub(crate) fn nonsense(
    way: u32,
    honest: &ToyDelta,
    max_length: u64,
    dice: &mut SeededRng,
) -> Bytes {
    let mut bytes = honest.to_bytes().to_vec();
    match way % 6 {
        0 => bytes.clear(),
        1 => bytes.truncate(LENGTH / 2),
        2 => bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes()),
        3 => bytes[4..].rotate_left(2),
        4 => bytes[4..].iter_mut().for_each(|byte| *byte = dice.bits() as u8),
        _ => bytes.resize(max_length as usize + 1, 0),
    }
    bytes.into()
}
