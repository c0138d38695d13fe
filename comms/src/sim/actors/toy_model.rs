//! A model without a network: eight weights with the optimum at one.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::objects::{Exclusion, OuterSettings};
use crate::primitives::{Digest, PeerId, SeededRng};

/// The number of weights. Small, because a simulation hashes and compares them thousands of times.
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

    /// The Euclidean distance from the optimum.
    pub(crate) fn distance(&self) -> f32 {
        self.0.iter().map(|weight| (1.0 - weight).powi(2)).sum::<f32>().sqrt()
    }

    /// The delta of one inner phase: 30 % of the way to the optimum, with noise.
    pub(crate) fn train(&self, rng: &mut SeededRng) -> Bytes {
        self.0
            .iter()
            .map(|weight| (1.0 - weight) * 0.3 + (rng.fraction() as f32 - 0.5) * 0.02)
            .flat_map(f32::to_le_bytes)
            .collect()
    }

    /// Applies the mean of `deltas`.
    ///
    /// # Errors
    /// [`Exclusion::Malformed`] or [`Exclusion::NotFinite`] for the first invalid delta.
    pub(crate) fn apply(
        &mut self,
        deltas: &BTreeMap<PeerId, Bytes>,
        outer: &OuterSettings,
    ) -> Result<(), Exclusion> {
        // In ascending order of peers: another order would change the last bits of the sum.
        let mut sum = [0.0_f32; SIZE];
        for payload in deltas.values() {
            let delta = Self::parse(payload)?;
            sum.iter_mut().zip(delta.0).for_each(|(sum, step)| *sum += step);
        }
        let scale = outer.alpha as f32 / deltas.len().max(1) as f32;
        self.0.iter_mut().zip(sum).for_each(|(weight, sum)| *weight += sum * scale);
        Ok(())
    }

    /// Parses the weights of a checkpoint, or a delta.
    ///
    /// # Errors
    /// [`Exclusion::Malformed`] or [`Exclusion::NotFinite`].
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Exclusion> {
        let (numbers, rest) = bytes.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        let weights = <[f32; SIZE]>::try_from(numbers).map_err(|_| Exclusion::Malformed)?;
        if !rest.is_empty() {
            return Err(Exclusion::Malformed);
        }
        // One infinite value would spread to the weights of every peer.
        if weights.iter().all(|weight| weight.is_finite()) {
            Ok(Self(weights))
        } else {
            Err(Exclusion::NotFinite)
        }
    }
}
