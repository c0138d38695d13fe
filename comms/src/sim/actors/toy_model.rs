//! Training without a network: a few numbers on their way to where all of them are one.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::objects::{Exclusion, OuterSettings};
use crate::primitives::{Digest, PeerId, SeededRng};

const SIZE: usize = 8;

/// The shared weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToyModel([f32; SIZE]);

impl ToyModel {
    /// The weights before round 0.
    pub(crate) fn genesis() -> Self {
        Self([0.0; SIZE])
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        self.0.iter().flat_map(|weight| weight.to_le_bytes()).collect()
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// How far the weights are from the best ones.
    pub(crate) fn distance(&self) -> f32 {
        self.0.iter().map(|weight| (1.0 - weight).powi(2)).sum::<f32>().sqrt()
    }

    /// What a peer learns from here: part of the way, with some noise.
    pub(crate) fn train(&self, dice: &mut SeededRng) -> Bytes {
        let step = |weight: &f32| (1.0 - weight) * 0.3 + (dice.fraction() as f32 - 0.5) * 0.02;
        self.0.iter().map(step).flat_map(f32::to_le_bytes).collect()
    }

    /// Takes the mean step of `deltas`, summed in the order of peers.
    ///
    /// # Errors
    /// [`Exclusion::Malformed`] or [`Exclusion::NotFinite`] of the first delta that is no delta.
    pub(crate) fn apply(
        &mut self,
        deltas: &BTreeMap<PeerId, Bytes>,
        outer: &OuterSettings,
    ) -> Result<(), Exclusion> {
        let mut sum = [0.0_f32; SIZE];
        for payload in deltas.values() {
            let delta = Self::parse(payload)?;
            sum.iter_mut().zip(delta.0).for_each(|(sum, step)| *sum += step);
        }
        let scale = outer.alpha as f32 / deltas.len().max(1) as f32;
        self.0.iter_mut().zip(sum).for_each(|(weight, sum)| *weight += sum * scale);
        Ok(())
    }

    /// Reads the numbers of a checkpoint or of a delta.
    ///
    /// # Errors
    /// [`Exclusion::Malformed`] or [`Exclusion::NotFinite`].
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Exclusion> {
        let (numbers, rest) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        let weights = <[f32; SIZE]>::try_from(numbers).map_err(|_| Exclusion::Malformed)?;
        match (rest.is_empty(), weights.iter().all(|weight| weight.is_finite())) {
            (true, true) => Ok(Self(weights)),
            (false, _) => Err(Exclusion::Malformed),
            (true, false) => Err(Exclusion::NotFinite),
        }
    }
}
