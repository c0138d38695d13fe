//! Five steps of AdamW with clipping, compared with PyTorch on the reference models of the model
//! crate.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::path::Path;

use covey::config::layers::{Layers, Purpose};
use covey::config::schema::Config;
use covey::system::error::Hint;
use covey::training::ModelFolder;
use covey::training::learner::Learner;
use covey_model::hub::SafetensorsFile;

fn reference(name: &str) -> (ModelFolder, SafetensorsFile) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/data").join(name);
    let model = ModelFolder::open(&folder, |_| {}).unwrap();
    (model, SafetensorsFile::open(folder.join("expected.safetensors")).unwrap())
}

fn numbers(file: &SafetensorsFile, name: &str) -> Vec<f32> {
    let mut numbers = vec![0.0; file.tensor(name).unwrap().shape.iter().product()];
    file.read_numbers(name, 0, &mut numbers).unwrap();
    numbers
}

/// The windows of the reference, and their length without the last target.
fn windows(file: &SafetensorsFile) -> (Vec<u32>, usize) {
    let length = file.tensor("input_ids").unwrap().shape[1] - 1;
    let bytes = file.read_bytes("input_ids").unwrap();
    let tokens = bytes
        .chunks(4)
        .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    (tokens, length)
}

fn learner(model: &ModelFolder, config: &Config) -> Learner {
    Learner::open(&model.config().model, config, |spec, range| {
        let mut numbers = vec![0.0; range.len()];
        model.hub().read_range(spec, range.start, &mut numbers)?;
        Ok(numbers)
    })
    .unwrap()
}

#[test]
fn five_steps_agree_with_pytorch() {
    for (name, micro_batch_size) in [("llama-tied", 2), ("llama-untied", 2), ("llama-untied", 1)] {
        let (model, expected) = reference(name);
        let settings = [
            ("optim.learning_rate", "1e-2"),
            ("schedule.kind", "constant"),
            ("schedule.warmup_steps", "0"),
            ("train.batch_size", "2"),
            ("train.micro_batch_size", if micro_batch_size == 1 { "1" } else { "2" }),
        ];
        let layers = settings
            .iter()
            .fold(Layers::new(), |layers, (key, value)| layers.flag("test", key, value));
        let config = layers.resolve(Purpose::Show).unwrap().config;
        let mut learner = learner(&model, &config);
        let (tokens, length) = windows(&expected);
        for row in numbers(&expected, "adamw.loss_and_grad_norm").chunks(2) {
            let outcome = learner.step(&tokens, length).unwrap();
            for (got, expected) in [(outcome.loss, row[0]), (outcome.grad_norm, row[1])] {
                let difference = (got / f64::from(expected) - 1.0).abs();
                assert!(difference <= 1e-3, "{name}: {got} and {expected}");
            }
        }
        for weight in learner.named_weights() {
            let expected = numbers(&expected, &format!("adamw.{}", weight.name));
            let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
            for (got, expected) in weight.values.iter().zip(&expected) {
                assert!(
                    (got - expected).abs() <= 1e-2 * largest,
                    "{name}, {}: {got} and {expected}",
                    weight.name
                );
            }
        }
    }
}

/// The bits of all weights; unlike floats, equal NaNs compare as equal.
fn bits(learner: &Learner) -> Vec<u32> {
    let weights = learner.named_weights().into_iter();
    weights.flat_map(|weight| weight.values).map(f32::to_bits).collect()
}

#[test]
fn a_gradient_that_is_not_finite_leaves_the_state_unchanged() {
    let (model, expected) = reference("llama-tied");
    let config = Layers::new().resolve(Purpose::Show).unwrap().config;
    let mut learner = learner(&model, &config);
    let mut weights = learner.named_weights();
    weights
        .iter_mut()
        .filter(|weight| weight.name == "model.norm.weight")
        .for_each(|norm| norm.values.fill(f32::NAN));
    learner.set_weights(weights.iter().map(|weight| weight.values.as_slice())).unwrap();
    let before = bits(&learner);
    let (tokens, length) = windows(&expected);
    let error = learner.step(&tokens, length).unwrap_err();
    assert!(error.to_string().starts_with("at step 1 the gradient of model."), "{error}");
    assert!(error.hint().is_some());
    assert_eq!((learner.steps(), bits(&learner)), (0, before));
}
