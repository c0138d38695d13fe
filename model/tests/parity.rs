//! The network compared with results of `transformers` and PyTorch.
//!
//! A reference folder has a model in the layout of the Hub, and `expected.safetensors` with the
//! results for it: `input_ids`, `logits`, `loss`, `grad.<name>`, `greedy`, `adamw.<name>` and
//! `adamw.loss_and_grad_norm`. Two folders are in the repository. The environment variable
//! `COVEY_REFERENCE` may name a directory with more. All tests run with both kernels.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::io::Write;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use covey_model::config::Precision;
use covey_model::generation::{Generator, Sampling, TokenSampler};
use covey_model::hub::{ExportOptions, FloatDtype, HubFolder, SafetensorsFile, export};
use covey_model::kernels::burn::BurnKernels;
use covey_model::network::{Decoder, TokenBatch, Weights};

const LOGITS: f32 = 1e-4;
const LOSS: f64 = 1e-5;
const GRADIENT: f32 = 1e-4;
const ADAMW: f64 = 1e-3;

// bf16 has 8 bits, so each number has a relative error of up to 1/256, and a gradient is a sum of
// many numbers that each block has rounded. Training needs the direction and the length of a
// gradient.
const BF16_LOSS: f64 = 1e-3;
const BF16_COSINE: f64 = 0.998;
const BF16_LENGTH: f64 = 0.02;

/// An open reference folder.
struct Reference {
    folder: PathBuf,
    hub: HubFolder,
    expected: SafetensorsFile,
    device: Device,
}

impl Reference {
    fn open(folder: &Path) -> Self {
        let hub = HubFolder::open(folder).unwrap();
        let expected = SafetensorsFile::open(folder.join("expected.safetensors")).unwrap();
        Self { folder: folder.to_owned(), hub, expected, device: Device::flex() }
    }

    fn weights(&self) -> Weights {
        self.hub
            .config()
            .model
            .parameters()
            .map(|spec| tensor(self.hub.read(spec).unwrap(), &self.device))
    }

    fn numbers(&self, name: &str) -> Vec<f32> {
        let shape = &self.expected.tensor(name).unwrap().shape;
        let mut numbers = vec![0.0; shape.iter().product()];
        self.expected.read_numbers(name, 0, &mut numbers).unwrap();
        numbers
    }

    fn integers(&self, name: &str) -> Vec<u32> {
        let bytes = self.expected.read_bytes(name).unwrap();
        let width =
            bytes.len() / self.expected.tensor(name).unwrap().shape.iter().product::<usize>();
        bytes
            .chunks(width)
            .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect()
    }

    /// Tokens and number of sequences of the batch of all results except the greedy text.
    fn batch(&self) -> (Vec<u32>, usize) {
        (self.integers("input_ids"), self.expected.tensor("input_ids").unwrap().shape[0])
    }

    fn decoders(&self) -> [(&'static str, Decoder); 2] {
        let model = &self.hub.config().model;
        [
            ("fast kernels", Decoder::new(model.clone(), &self.device)),
            ("composed kernels", Decoder::composed(model.clone(), &self.device)),
        ]
    }
}

/// All folders with an `expected.safetensors`, in the repository and in `COVEY_REFERENCE`.
fn folders() -> Vec<PathBuf> {
    let in_repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let additional = std::env::var_os("COVEY_REFERENCE").map(PathBuf::from);
    let mut folders: Vec<PathBuf> = std::iter::once(in_repository)
        .chain(additional)
        .flat_map(|directory| {
            std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"))
        })
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.join("expected.safetensors").is_file() && path.join("config.json").is_file()
        })
        .collect();
    folders.sort();
    assert!(folders.len() >= 2, "the repository has two folders");
    folders
}

fn for_every_folder(check: impl Fn(&Reference)) {
    for folder in folders() {
        check(&Reference::open(&folder));
        print_line(&format!("checked {}", folder.display()));
    }
}

/// Prints a line. `println!` would be hidden by the test runner if the test passes.
fn print_line(line: &str) {
    writeln!(std::io::stdout().lock(), "{line}").unwrap();
}

fn tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().unwrap()
}

fn largest_difference(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f32::max)
}

fn largest(values: &[f32]) -> f32 {
    values.iter().map(|value| value.abs()).fold(0.0, f32::max)
}

/// Root mean square of the differences, relative to that of the expected values. Single elements
/// with almost no gradient may move in either direction, because AdamW divides by its size.
fn root_mean_square_difference(got: &[f32], expected: &[f32]) -> f64 {
    let differences =
        sum_of_squares(got.iter().zip(expected).map(|(got, expected)| got - expected));
    (differences / sum_of_squares(expected.iter().copied())).sqrt()
}

fn sum_of_squares(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum()
}

#[test]
fn logits_match_transformers() {
    for_every_folder(|reference| {
        let (tokens, sequences) = reference.batch();
        for (kernels, decoder) in reference.decoders() {
            let logits = values(&decoder.logits(&reference.weights(), &tokens, sequences).unwrap());
            let difference = largest_difference(&logits, &reference.numbers("logits"));
            print_line(&format!("{kernels}: logits differ by at most {difference:e}"));
            assert!(difference <= LOGITS, "{kernels}, {:?}: {difference:e}", reference.folder);
        }
    });
}

#[test]
fn loss_and_gradients_match_pytorch() {
    for_every_folder(|reference| {
        let (tokens, sequences) = reference.batch();
        let expected_loss = f64::from(reference.numbers("loss")[0]);
        for (kernels, decoder) in reference.decoders() {
            let (loss, gradients) =
                loss_and_gradients(&decoder, &reference.weights(), &tokens, sequences);
            print_line(&format!("{kernels}: loss differs by {:e}", (loss - expected_loss).abs()));
            assert!((loss - expected_loss).abs() <= LOSS, "{kernels}: {loss} and {expected_loss}");
            for (spec, gradient) in decoder.config().parameters().iter().zip(gradients.iter()) {
                let expected = reference.numbers(&format!("grad.{}", spec.name));
                let difference =
                    largest_difference(&values(gradient), &expected) / largest(&expected);
                assert!(difference <= GRADIENT, "{kernels}, {}: {difference:e}", spec.name);
            }
        }
    });
}

#[test]
fn bf16_preserves_the_loss_and_the_direction_and_length_of_each_gradient() {
    for_every_folder(|reference| {
        let (tokens, sequences) = reference.batch();
        let model = &reference.hub.config().model;
        let expected_loss = f64::from(reference.numbers("loss")[0]);
        let weights =
            reference.weights().map(|weight| weight.clone().cast(Precision::Bf16.dtype()));
        let burn = Box::new(BurnKernels::with_burn_attention(reference.device.clone()));
        let decoders = [
            (
                "explicit scores",
                Decoder::with_precision(model.clone(), &reference.device, Precision::Bf16),
            ),
            ("attention of Burn", Decoder::with_kernels(model.clone(), &reference.device, burn)),
        ];
        for (kernels, decoder) in decoders {
            let (loss, gradients) = loss_and_gradients(&decoder, &weights, &tokens, sequences);
            assert!(
                (loss / expected_loss - 1.0).abs() <= BF16_LOSS,
                "{kernels}: {loss} and {expected_loss}"
            );
            let mut worst = (1.0f64, 0.0f64);
            for (spec, gradient) in model.parameters().iter().zip(gradients.iter()) {
                let expected = reference.numbers(&format!("grad.{}", spec.name));
                let (cosine, length) = cosine_and_length(&values(gradient), &expected);
                assert!(cosine >= BF16_COSINE, "{kernels}, {}: cosine {cosine}", spec.name);
                assert!(
                    (length - 1.0).abs() <= BF16_LENGTH,
                    "{kernels}, {}: length {length}",
                    spec.name
                );
                worst = (worst.0.min(cosine), worst.1.max((length - 1.0).abs()));
            }
            let loss = (loss / expected_loss - 1.0).abs();
            print_line(&format!(
                "{kernels} in bf16: loss {loss:.1e}, cosine {:.5}, length {:.1e}",
                worst.0, worst.1
            ));
        }
    });
}

/// Cosine of the angle between two vectors, and the ratio of their lengths.
fn cosine_and_length(got: &[f32], expected: &[f32]) -> (f64, f64) {
    let (got_length, expected_length) = (dot(got, got).sqrt(), dot(expected, expected).sqrt());
    (dot(got, expected) / (got_length * expected_length), got_length / expected_length)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Mean loss of all targets, and its gradient.
fn loss_and_gradients(
    decoder: &Decoder,
    weights: &Weights,
    tokens: &[u32],
    sequences: usize,
) -> (f64, Weights) {
    let batch = TokenBatch::new(tokens, sequences, decoder.config()).unwrap();
    let targets = batch.num_targets() as f64;
    let mut gradients = decoder.zeros();
    let loss = decoder.loss_backward(weights, &batch, 1.0 / targets, &mut gradients);
    let alone = decoder.loss(weights, &batch);
    assert!((loss - alone).abs() <= 1e-9 * loss, "the loss is the same with and without gradients");
    (loss / targets, gradients)
}

#[test]
fn greedy_text_matches_transformers() {
    for_every_folder(|reference| {
        let text = reference.integers("greedy");
        let (decoder, weights) = (
            Decoder::new(reference.hub.config().model.clone(), &reference.device),
            reference.weights(),
        );
        let sampler = TokenSampler::new(Sampling::GREEDY, 0).unwrap();
        let mut written = text[..8].to_vec();
        let mut generator = Generator::new(&decoder, &weights);
        let mut logits = generator.read(&written).unwrap();
        while written.len() < text.len() {
            written.push(sampler.choose(&logits, written.len() as u64).unwrap());
            logits = generator.read(&written[written.len() - 1..]).unwrap();
        }
        assert_eq!(written, text, "{:?}", reference.folder);
    });
}

/// AdamW as in the documentation of PyTorch, element by element, with the settings of the
/// reference.
struct PlainAdamW {
    moments: Vec<[Vec<f64>; 2]>,
    step: i32,
}

impl PlainAdamW {
    fn update(&mut self, parameters: &mut [Vec<f32>], gradients: &[Vec<f32>], scale: f64) {
        let (lr, beta1, beta2, epsilon, decay) = (1e-2, 0.9, 0.95, 1e-8, 0.1);
        self.step += 1;
        let (bias1, bias2) = (1.0 - f64::powi(beta1, self.step), 1.0 - f64::powi(beta2, self.step));
        for ((parameters, gradients), [m, v]) in
            parameters.iter_mut().zip(gradients).zip(&mut self.moments)
        {
            for i in 0..parameters.len() {
                let gradient = f64::from(gradients[i]) * scale;
                m[i] = beta1 * m[i] + (1.0 - beta1) * gradient;
                v[i] = beta2 * v[i] + (1.0 - beta2) * gradient * gradient;
                let step = lr / bias1 * m[i] / ((v[i] / bias2).sqrt() + epsilon);
                parameters[i] = (f64::from(parameters[i]) * (1.0 - lr * decay) - step) as f32;
            }
        }
    }
}

#[test]
fn five_clipped_adamw_steps_match_pytorch() {
    for_every_folder(|reference| {
        let (tokens, sequences) = reference.batch();
        let expected = reference.numbers("adamw.loss_and_grad_norm");
        for (kernels, decoder) in reference.decoders() {
            let mut parameters: Vec<Vec<f32>> = reference.weights().iter().map(values).collect();
            let zeros = |values: &Vec<f32>| [vec![0.0; values.len()], vec![0.0; values.len()]];
            let mut optimizer =
                PlainAdamW { moments: parameters.iter().map(zeros).collect(), step: 0 };
            for row in expected.chunks(2) {
                let mut flat =
                    parameters.iter().map(|values| tensor(values.clone(), &reference.device));
                let weights = decoder.config().parameters().map(|_| flat.next().unwrap());
                let (loss, gradients) = loss_and_gradients(&decoder, &weights, &tokens, sequences);
                let gradients: Vec<Vec<f32>> = gradients.iter().map(values).collect();
                let squares: f64 =
                    gradients.iter().flatten().map(|value| f64::from(*value).powi(2)).sum();
                for (got, expected) in [(loss, row[0]), (squares.sqrt(), row[1])] {
                    let difference = (got / f64::from(expected) - 1.0).abs();
                    assert!(difference <= ADAMW, "{kernels}: {got} and {expected}");
                }
                optimizer.update(
                    &mut parameters,
                    &gradients,
                    (1.0 / (squares.sqrt() + 1e-6)).min(1.0),
                );
            }
            for (spec, got) in decoder.config().parameters().iter().zip(&parameters) {
                let expected = reference.numbers(&format!("adamw.{}", spec.name));
                let difference = root_mean_square_difference(got, &expected);
                assert!(difference <= 10.0 * ADAMW, "{kernels}, {}: {difference:e}", spec.name);
            }
        }
    });
}

#[test]
fn exported_tensors_have_the_imported_bytes() {
    for_every_folder(|reference| {
        let model = &reference.hub.config().model;
        let imported = weight_files(&reference.folder);
        let dtype = imported[0].tensors().values().next().unwrap().dtype;
        let format = FloatDtype::from_dtype(dtype).unwrap();
        let options =
            ExportOptions { format, max_shard_bytes: 100_000_000, ..ExportOptions::default() };
        let folder = tempfile::tempdir().unwrap();
        export(folder.path(), model, &options, |spec| Ok(reference.hub.read(spec).unwrap().into()))
            .unwrap();
        assert_eq!(&HubFolder::open(folder.path()).unwrap().config().model, model);
        let exported = weight_files(folder.path());
        for spec in model.parameters().iter() {
            assert_eq!(
                bytes_of(&exported, &spec.name),
                bytes_of(&imported, &spec.name),
                "{}",
                spec.name
            );
        }
    });
}

/// All weight files of a folder.
fn weight_files(folder: &Path) -> Vec<SafetensorsFile> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .filter(|path| !path.ends_with("expected.safetensors"))
        .map(|path| SafetensorsFile::open(path).unwrap())
        .collect()
}

fn bytes_of(files: &[SafetensorsFile], name: &str) -> Vec<u8> {
    files.iter().find(|file| file.tensors().contains_key(name)).unwrap().read_bytes(name).unwrap()
}
