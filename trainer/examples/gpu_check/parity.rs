//! Logits, loss and gradients on a device, compared with `transformers` and PyTorch in fp32.

use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use covey_model::config::Precision;
use covey_model::hub::{HubFolder, SafetensorsFile};
use covey_model::network::{Decoder, TokenBatch, Weights};
use serde_json::{Value, json};

/// Tolerated differences from the reference.
struct Tolerances {
    /// Largest difference of a logit. The logits of the reference are at most about 2.
    logits: f64,
    /// Relative difference of the mean loss.
    loss: f64,
    /// L2 norm of the difference of each gradient, relative to the norm of the reference.
    gradient: f64,
}

/// The tolerances of the CPU tests for fp32. bf16 has 8 significant bits, a relative error of up to
/// 2^-9 per rounding, so its tolerances are a few such errors wide.
fn tolerances(precision: Precision) -> Tolerances {
    match precision {
        Precision::Bf16 => Tolerances { logits: 5e-2, loss: 1e-2, gradient: 1e-1 },
        _ => Tolerances { logits: 1e-4, loss: 1e-5, gradient: 1e-4 },
    }
}

/// Compares logits, loss and gradients of every folder inside `data`.
pub(crate) fn report(device: &Device, precision: Precision, data: &Path) -> anyhow::Result<Value> {
    let entries =
        std::fs::read_dir(data).with_context(|| format!("cannot read {}", data.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let mut folders: Vec<PathBuf> = paths.collect::<anyhow::Result<_>>()?;
    folders.retain(|path| path.join("expected.safetensors").is_file());
    folders.sort();
    let mut checks = Vec::new();
    for folder in &folders {
        checks.extend(Reference::open(folder)?.checks(device, precision)?);
    }
    anyhow::ensure!(!checks.is_empty(), "{} does not contain reference data", data.display());
    Ok(json!({ "checks": checks }))
}

struct Reference {
    name: String,
    hub: HubFolder,
    expected: SafetensorsFile,
}

impl Reference {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let name =
            folder.file_name().context("a folder has a name")?.to_string_lossy().into_owned();
        let expected = SafetensorsFile::open(folder.join("expected.safetensors"))?;
        Ok(Self { name, hub: HubFolder::open(folder)?, expected })
    }

    fn checks(&self, device: &Device, precision: Precision) -> anyhow::Result<Vec<Value>> {
        let model = self.hub.config().model.clone();
        let decoder = Decoder::with_precision(model, device, precision);
        let weights = self.weights(device, precision.dtype())?;
        let (tokens, sequences) = self.batch()?;
        let tolerances = tolerances(precision);

        let logits = values(decoder.logits(&weights, &tokens, sequences)?);
        let logits = largest_difference(&logits, &self.numbers("logits")?);
        let (loss, gradient) = self.loss_and_gradient(&decoder, &weights, &tokens, sequences)?;
        Ok(vec![
            self.check("logits", logits, tolerances.logits),
            self.check("loss", loss, tolerances.loss),
            self.check("worst gradient", gradient, tolerances.gradient),
        ])
    }

    fn check(&self, what: &str, difference: f64, tolerance: f64) -> Value {
        json!({
            "folder": self.name,
            "what": what,
            "difference": difference,
            "tolerance": tolerance,
            "holds": difference <= tolerance,
        })
    }

    /// Relative differences of the mean loss and of the worst gradient.
    fn loss_and_gradient(
        &self,
        decoder: &Decoder,
        weights: &Weights,
        tokens: &[u32],
        sequences: usize,
    ) -> anyhow::Result<(f64, f64)> {
        let batch = TokenBatch::new(tokens, sequences, decoder.config())?;
        let targets = batch.num_targets() as f64;
        let mut gradients = decoder.zeros();
        let loss = decoder.loss_backward(weights, &batch, 1.0 / targets, &mut gradients) / targets;
        let expected = f64::from(*self.numbers("loss")?.first().context("the loss is missing")?);
        let mut worst = 0.0_f64;
        for (spec, gradient) in decoder.config().parameters().iter().zip(gradients.iter()) {
            let expected = self.numbers(&format!("grad.{}", spec.name))?;
            worst = worst.max(relative_difference(&values(gradient.clone()), &expected));
        }
        Ok(((loss / expected - 1.0).abs(), worst))
    }

    fn weights(&self, device: &Device, numbers: FloatDType) -> anyhow::Result<Weights> {
        let parameters = self.hub.config().model.parameters();
        let read: Result<Vec<_>, _> = parameters.iter().map(|spec| self.hub.read(spec)).collect();
        let mut tensors = read?.into_iter().map(|values| {
            let length = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [length]), device).cast(numbers)
        });
        Ok(parameters.map(|_| tensors.next().expect("one tensor for each parameter")))
    }

    fn numbers(&self, name: &str) -> anyhow::Result<Vec<f32>> {
        let tensor = self.expected.tensor(name)?;
        let mut numbers = vec![0.0; tensor.shape.iter().product()];
        self.expected.read_numbers(name, 0, &mut numbers)?;
        Ok(numbers)
    }

    /// The tokens of all windows, and the number of windows.
    fn batch(&self) -> anyhow::Result<(Vec<u32>, usize)> {
        let shape = &self.expected.tensor("input_ids")?.shape;
        let bytes = self.expected.read_bytes("input_ids")?;
        let width = bytes.len() / shape.iter().product::<usize>().max(1);
        let sequences = *shape.first().context("input_ids must be a matrix")?;
        Ok((bytes.chunks(width.max(1)).map(token).collect(), sequences))
    }
}

/// The low 4 bytes of a little-endian number: `input_ids` may have 4 or 8 bytes per token.
fn token(id: &[u8]) -> u32 {
    id.iter().take(4).rev().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.cast(FloatDType::F32).into_data().try_into_vec().expect("it was cast to fp32")
}

/// The largest absolute difference; infinite if there is a NaN, which `max` would ignore.
fn largest_difference(got: &[f32], expected: &[f32]) -> f64 {
    let differences =
        got.iter().zip(expected).map(|(got, expected)| f64::from((got - expected).abs()));
    differences.fold(0.0, |most, next| if next.is_nan() { f64::INFINITY } else { most.max(next) })
}

/// The L2 norm of the difference, relative to the norm of `expected`; infinite if there is a NaN.
fn relative_difference(got: &[f32], expected: &[f32]) -> f64 {
    let difference = norm(got.iter().zip(expected).map(|(got, expected)| got - expected));
    let relative = difference / norm(expected.iter().copied());
    if relative.is_nan() { f64::INFINITY } else { relative }
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}
