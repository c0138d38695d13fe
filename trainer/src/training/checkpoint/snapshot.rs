//! The state of a run at one step, as plain data.

use std::collections::BTreeSet;
use std::time::Duration;

use covey_model::hub::FloatDtype;
use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use super::manifest::is_plain;
use super::names::is_own;
use super::sharded_tensor::{SavedMoments, SavedTensor};

/// Everything that goes into one checkpoint, owned, so that it can be written
/// while training goes on.
///
/// - `moments` is empty (nothing optimised yet) or has one entry per weight, in the same order.
/// - `error_feedback` is empty (trained alone) or has one entry per weight, in the same order.
/// - Every tensor has as many values as its shape says, and a name of its own.
/// - Extra files have plain names that mean nothing else in a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Where the training loop stands.
    pub state: TrainingState,
    /// The weights in canonical order, named as on the Hub.
    pub weights: Vec<SavedTensor>,
    /// The optimizer's running means.
    pub moments: Vec<SavedMoments>,
    /// What a peer has not yet told others of its training.
    pub error_feedback: Vec<Vec<f32>>,
    /// Text of the Hub's `config.json`.
    pub model_config: String,
    /// Text of the run's resolved configuration.
    pub run_config: String,
    /// Tokenizer files and the like, kept in the checkpoint under their own names.
    pub extra_files: Vec<ExtraFile>,
}

/// One tensor with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// The Hub's name, `model.norm.weight` and the like.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// The numbers, row by row.
    pub values: Vec<f32>,
}

/// A small file that travels with the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraFile {
    /// Plain file name, `tokenizer.json` and the like.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// Where the training loop stands: all that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Training steps done.
    pub step: u64,
    /// Updates the optimizer has made; its bias correction counts these.
    pub optimizer_steps: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Seed of the run; everything random is a function of it and of counters.
    pub seed: u64,
    /// Time spent training, over all starts of the run.
    pub elapsed: Duration,
    /// The data loader's cursor, in its own form.
    pub cursor: serde_json::Value,
    /// What the learning-rate schedule remembers beyond the step, in its own form.
    pub schedule: serde_json::Value,
}

impl Snapshot {
    /// Checks the invariants of the type.
    pub(super) fn check(&self) -> Result<(), CheckpointError> {
        let contradiction = self.weights.iter().find_map(SavedTensor::contradiction);
        let uneven = || self.uneven_moments().or_else(|| self.uneven_feedback());
        match contradiction
            .or_else(uneven)
            .or_else(|| self.name_twice())
            .or_else(|| self.bad_file())
        {
            Some(reason) => Err(CheckpointError::InvalidSnapshot { step: self.state.step, reason }),
            None => Ok(()),
        }
    }

    fn uneven_moments(&self) -> Option<String> {
        if self.moments.is_empty() {
            return None;
        }
        if self.moments.len() != self.weights.len() {
            return Some(format!(
                "{} weights, but moments of {}",
                self.weights.len(),
                self.moments.len()
            ));
        }
        let uneven = self.weights.iter().zip(&self.moments).find(|(weight, moments)| {
            [&moments.first, &moments.second]
                .iter()
                .any(|moment| moment.num_elements() != weight.values.num_elements())
        });
        uneven.map(|(weight, _)| {
            format!("the moments of {} have another length than the weight", weight.name)
        })
    }

    fn uneven_feedback(&self) -> Option<String> {
        if self.error_feedback.is_empty() {
            return None;
        }
        let lengths = self.error_feedback.iter().map(Vec::len);
        let fits = lengths.eq(self.weights.iter().map(|weight| weight.values.num_elements()));
        (!fits).then(|| "the error feedback has another form than the weights".to_owned())
    }

    fn name_twice(&self) -> Option<String> {
        let mut seen = BTreeSet::new();
        let twice = self.weights.iter().find(|weight| !seen.insert(&weight.name));
        twice.map(|weight| format!("there are two weights named {}", weight.name))
    }

    fn bad_file(&self) -> Option<String> {
        let bad = self.extra_files.iter().find(|file| !is_plain(&file.name) || is_own(&file.name));
        bad.map(|file| format!("`{}` cannot be the name of an extra file", file.name))
    }
}

impl SavedTensor {
    fn contradiction(&self) -> Option<String> {
        let (shape, got) = (&self.shape, self.values.num_elements());
        (shape.iter().product::<usize>() != got)
            .then(|| format!("{} has shape {shape:?} and {got} values", self.name))
    }
}

/// Names the exact weights: equal digests mean equal names, shapes and bits.
///
/// BLAKE3 over, for each tensor in the order given, the length of its name,
/// the name, the rank, every dimension (all counts as little-endian `u64`),
/// and its values as little-endian `f32`.
pub fn weights_digest<'a>(weights: impl IntoIterator<Item = &'a NamedTensor>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for NamedTensor { name, shape, values } in weights {
        hash_tensor(&mut hasher, name, shape, [values.as_slice()]);
    }
    hasher.finalize()
}

/// [`weights_digest`] of tensors in pieces; where they are cut makes no difference.
pub(super) fn saved_digest(weights: &[SavedTensor]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for SavedTensor { name, shape, values } in weights {
        hash_tensor(&mut hasher, name, shape, values.iter());
    }
    hasher.finalize()
}

fn hash_tensor<'a>(
    hasher: &mut blake3::Hasher,
    name: &str,
    shape: &[usize],
    pieces: impl IntoIterator<Item = &'a [f32]>,
) {
    let count = |hasher: &mut blake3::Hasher, count: usize| {
        hasher.update(&(count as u64).to_le_bytes());
    };
    count(hasher, name.len());
    hasher.update(name.as_bytes());
    count(hasher, shape.len());
    shape.iter().for_each(|dimension| count(hasher, *dimension));
    for values in pieces {
        FloatDtype::Fp32.write(values, hasher).expect("a hasher takes all bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], values: &[f32]) -> NamedTensor {
        NamedTensor { name: name.into(), shape: shape.to_vec(), values: values.to_vec() }
    }

    #[test]
    fn the_digest_sees_names_shapes_bits_and_order() {
        let (left, right) = (tensor("a", &[2, 1], &[1.0, 0.0]), tensor("b", &[1], &[3.0]));
        let digest = |weights: &[&NamedTensor]| {
            weights_digest(&weights.iter().map(|&t| t.clone()).collect::<Vec<_>>())
        };
        let original = digest(&[&left, &right]);
        assert_eq!(original, digest(&[&left, &right]));
        let others = [
            digest(&[&right, &left]),
            digest(&[&left]),
            digest(&[&tensor("c", &[2, 1], &[1.0, 0.0]), &right]),
            digest(&[&tensor("a", &[1, 2], &[1.0, 0.0]), &right]),
            digest(&[&tensor("a", &[2, 1], &[1.0, -0.0]), &right]),
        ];
        assert!(others.iter().all(|other| *other != original));
    }

    #[test]
    fn the_digest_does_not_see_where_a_tensor_is_cut() {
        let whole = tensor("a", &[3], &[1.0, 2.0, 3.0]);
        let cut = SavedTensor {
            values: [vec![1.0], vec![2.0, 3.0]].into_iter().collect(),
            ..whole.clone().into()
        };
        assert_eq!(saved_digest(&[cut]), weights_digest(&[whole]));
    }

    #[test]
    fn the_digest_is_what_its_doc_says() {
        let mut bytes = Vec::new();
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(b"a");
        bytes.extend([2_u64, 2, 1].iter().flat_map(|count| count.to_le_bytes()));
        bytes.extend([1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()));
        assert_eq!(weights_digest(&[tensor("a", &[2, 1], &[1.5, -2.0])]), blake3::hash(&bytes));
    }
}
