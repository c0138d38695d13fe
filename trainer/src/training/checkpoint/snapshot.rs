//! The contents of a checkpoint in memory, as plain data.

use std::collections::BTreeSet;
use std::time::Duration;

use covey_model::hub::FloatDtype;
use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use super::manifest::is_plain;
use super::names::is_own;
use super::sharded_tensor::{SavedMoments, SavedTensor};

/// The contents of one checkpoint.
///
/// It owns its data, so a thread can write it while training continues. It costs 12 bytes of host
/// memory per parameter, or 16 in a distributed run.
///
/// - `moments` is empty before the first optimizer step; otherwise it has one entry per weight, in
///   the same order.
/// - `error_feedback` is empty unless the run is distributed; otherwise as `moments`.
/// - Each tensor has as many values as its shape, and a unique name.
/// - Extra files have plain names that differ from the other file names of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The state of the training loop.
    pub state: TrainingState,
    /// The weights in canonical order, with their names on the Hub.
    pub weights: Vec<SavedTensor>,
    /// The moments of AdamW.
    pub moments: Vec<SavedMoments>,
    /// The part of the pseudo-gradients that was not sent.
    pub error_feedback: Vec<Vec<f32>>,
    /// Text of `config.json`, the model configuration in the format of the Hub.
    pub model_config: String,
    /// Text of `run.toml`, the resolved configuration of the run.
    pub run_config: String,
    /// Tokenizer files, and the files of a peer in a distributed run.
    pub extra_files: Vec<ExtraFile>,
}

/// One tensor with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Name on the Hub, for example `model.norm.weight`.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub values: Vec<f32>,
}

/// A small file that is stored next to the weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraFile {
    /// Plain file name, for example `tokenizer.json`.
    pub name: String,
    /// Contents of the file.
    pub bytes: Vec<u8>,
}

/// The state of the training loop, except tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// Completed training steps.
    pub step: u64,
    /// Completed optimizer updates; AdamW's bias correction depends on them.
    pub optimizer_steps: u64,
    /// Tokens seen in training.
    pub tokens: u64,
    /// Seed of the run. All random numbers are functions of the seed and of counters.
    pub seed: u64,
    /// Time spent in training, summed over all restarts.
    pub elapsed: Duration,
    /// Position in the training data, in the format of its owner.
    pub cursor: serde_json::Value,
    /// State of the learning-rate schedule other than the step, in the format of its owner.
    pub schedule: serde_json::Value,
}

impl Snapshot {
    /// Checks the invariants of the type.
    pub(super) fn check(&self) -> Result<(), CheckpointError> {
        // A writer that accepts a broken snapshot would only be noticed at the next resume.
        let shapes = self.weights.iter().find_map(SavedTensor::shape_mismatch);
        match shapes
            .or_else(|| self.moments_mismatch())
            .or_else(|| self.feedback_mismatch())
            .or_else(|| self.duplicate_name())
            .or_else(|| self.invalid_file_name())
        {
            Some(reason) => Err(CheckpointError::InvalidSnapshot { step: self.state.step, reason }),
            None => Ok(()),
        }
    }

    fn moments_mismatch(&self) -> Option<String> {
        if self.moments.is_empty() {
            return None;
        }
        if self.moments.len() != self.weights.len() {
            return Some(format!(
                "{} weights, but {} moments",
                self.weights.len(),
                self.moments.len()
            ));
        }
        let mismatch = self.weights.iter().zip(&self.moments).find(|(weight, moments)| {
            [&moments.first, &moments.second]
                .iter()
                .any(|moment| moment.num_elements() != weight.values.num_elements())
        });
        mismatch.map(|(weight, _)| {
            format!("the moments of {} differ in length from the weight", weight.name)
        })
    }

    fn feedback_mismatch(&self) -> Option<String> {
        if self.error_feedback.is_empty() {
            return None;
        }
        let lengths = self.error_feedback.iter().map(Vec::len);
        let is_equal = lengths.eq(self.weights.iter().map(|weight| weight.values.num_elements()));
        (!is_equal).then(|| "the error feedback differs in shape from the weights".to_owned())
    }

    // In a safetensors header, the second tensor of a name would hide the first.
    fn duplicate_name(&self) -> Option<String> {
        let mut seen = BTreeSet::new();
        let duplicate = self.weights.iter().find(|weight| !seen.insert(&weight.name));
        duplicate.map(|weight| format!("there are two weights named {}", weight.name))
    }

    // A path would leave the folder, and an own name would overwrite a file of the checkpoint.
    fn invalid_file_name(&self) -> Option<String> {
        let mut files = self.extra_files.iter();
        let invalid = files.find(|file| !is_plain(&file.name) || is_own(&file.name));
        invalid.map(|file| format!("`{}` cannot be the name of an extra file", file.name))
    }
}

impl SavedTensor {
    fn shape_mismatch(&self) -> Option<String> {
        let (shape, got) = (&self.shape, self.values.num_elements());
        (shape.iter().product::<usize>() != got)
            .then(|| format!("{} has shape {shape:?} and {got} values", self.name))
    }
}

/// The BLAKE3 digest of weights; equal digests mean equal names, shapes and bits.
///
/// The hash input is, for each tensor in order: length of the name, name, rank, dimensions (all
/// counts as little-endian `u64`), and the values as little-endian `f32`.
pub fn weights_digest<'a>(weights: impl IntoIterator<Item = &'a NamedTensor>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for NamedTensor { name, shape, values } in weights {
        hash_tensor(&mut hasher, name, shape, [values.as_slice()]);
    }
    hasher.finalize()
}

/// [`weights_digest`] of tensors in pieces; the division into pieces does not matter.
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
    // Length and rank make the input unambiguous: no two lists of tensors share their bytes.
    hash_count(hasher, name.len());
    hasher.update(name.as_bytes());
    hash_count(hasher, shape.len());
    shape.iter().for_each(|dimension| hash_count(hasher, *dimension));
    for values in pieces {
        FloatDtype::Fp32.write(values, hasher).expect("a hasher takes all bytes");
    }
}

fn hash_count(hasher: &mut blake3::Hasher, count: usize) {
    hasher.update(&(count as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], values: &[f32]) -> NamedTensor {
        NamedTensor { name: name.into(), shape: shape.to_vec(), values: values.to_vec() }
    }

    #[test]
    fn the_digest_depends_on_names_shapes_bits_and_order() {
        let (left, right) = (tensor("a", &[2, 1], &[1.0, 0.0]), tensor("b", &[1], &[3.0]));
        let original = weights_digest([&left, &right]);
        assert_eq!(original, weights_digest([&left, &right]));
        let others = [
            weights_digest([&right, &left]),
            weights_digest([&left]),
            weights_digest([&tensor("c", &[2, 1], &[1.0, 0.0]), &right]),
            weights_digest([&tensor("a", &[1, 2], &[1.0, 0.0]), &right]),
            weights_digest([&tensor("a", &[2, 1], &[1.0, -0.0]), &right]),
        ];
        assert!(others.iter().all(|other| *other != original));
    }

    #[test]
    fn the_digest_does_not_depend_on_the_pieces() {
        let whole = tensor("a", &[3], &[1.0, 2.0, 3.0]);
        let cut = SavedTensor {
            values: [vec![1.0], vec![2.0, 3.0]].into_iter().collect(),
            ..whole.clone().into()
        };
        assert_eq!(saved_digest(&[cut]), weights_digest(&[whole]));
    }

    #[test]
    fn the_digest_hashes_the_documented_bytes() {
        let mut bytes = Vec::new();
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(b"a");
        bytes.extend([2_u64, 2, 1].iter().flat_map(|count| count.to_le_bytes()));
        bytes.extend([1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()));
        assert_eq!(weights_digest(&[tensor("a", &[2, 1], &[1.5, -2.0])]), blake3::hash(&bytes));
    }
}
