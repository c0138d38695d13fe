//! Losses of twenty steps do not depend on the number of devices.

use std::ops::Range;

use covey::training::checkpoint::ShardedTensor;
use covey::training::learner::{Learner, StepOutcome};
use covey_optim::inner::Moments;

use crate::fixtures::{LENGTH, config, learner, tiny, tokens};

const STEPS: u64 = 20;

fn outcomes(learner: &mut Learner, steps: Range<u64>) -> Vec<StepOutcome> {
    steps.map(|step| learner.step(&tokens(step, tiny().vocab_size), LENGTH).unwrap()).collect()
}

fn trained(settings: &[(&str, &str)]) -> Vec<StepOutcome> {
    outcomes(&mut learner(&tiny(), &config(settings)).unwrap(), 0..STEPS)
}

/// Asserts that losses and gradient norms agree to 1e-5; sums over devices have another order.
fn assert_close(one: &[StepOutcome], other: &[StepOutcome], what: &str) {
    assert_eq!(one.len(), other.len());
    for (step, (one, other)) in one.iter().zip(other).enumerate() {
        for (one, other) in [(one.loss, other.loss), (one.grad_norm, other.grad_norm)] {
            assert!((one / other - 1.0).abs() <= 1e-5, "{what}, step {step}: {one} and {other}");
        }
    }
}

#[test]
fn losses_do_not_depend_on_the_number_of_devices() {
    let on_one = trained(&[]);
    assert!(on_one[19].loss < on_one[0].loss - 0.5, "the loss did not fall: {on_one:?}");
    for device in ["cpu:2", "cpu:3", "cpu:4", "cpu:8"] {
        assert_close(&trained(&[("run.device", device)]), &on_one, device);
    }
}

#[test]
fn losses_do_not_depend_on_activation_checkpointing() {
    let checkpointing = ("memory.activation_checkpointing", "blocks");
    let on_one = trained(&[]);
    // On one device, no sum has another order, so losses are equal to the bit.
    assert_eq!(trained(&[checkpointing]), on_one);
    assert_eq!(trained(&[checkpointing, ("memory.activation_checkpoint_every", "3")]), on_one);
    for device in ["cpu:2", "cpu:3", "cpu:4", "cpu:8"] {
        assert_close(&trained(&[("run.device", device), checkpointing]), &on_one, device);
    }
}

/// bf16 has 8 significant bits, so losses agree with fp32 to about 2^-8.
#[test]
fn losses_in_bf16_follow_those_in_fp32() {
    let half = ("train.precision", "bf16");
    let (whole, on_one) = (trained(&[]), trained(&[half]));
    let shared =
        trained(&[half, ("run.device", "cpu:2"), ("memory.activation_checkpointing", "blocks")]);
    for (step, (whole, half)) in
        whole.iter().zip(&on_one).chain(whole.iter().zip(&shared)).enumerate()
    {
        assert!(
            (half.loss / whole.loss - 1.0).abs() <= 0.005,
            "step {step}: {whole:?} and {half:?}"
        );
    }
    assert_ne!(whole, on_one);
}

#[test]
fn losses_do_not_depend_on_micro_batches() {
    let on_one = trained(&[]);
    for (device, micro, together) in
        [("cpu", "4", "auto"), ("cpu", "1", "4"), ("cpu:2", "1", "1"), ("cpu:2", "1", "auto")]
    {
        let settings = [
            ("run.device", device),
            ("train.micro_batch_size", micro),
            ("memory.micro_batches_per_gather", together),
        ];
        assert_close(&trained(&settings), &on_one, &format!("{settings:?}"));
    }
}

#[test]
fn training_continues_on_any_number_of_devices() {
    let on_one = trained(&[]);
    let mut own = learner(&tiny(), &config(&[("run.device", "cpu:4")])).unwrap();
    let mut all = outcomes(&mut own, 0..7);
    for (device, steps) in [("cpu:2", 7..13), ("cpu:8", 13..17), ("cpu", 17..STEPS)] {
        own = moved_to(device, &own);
        all.extend(outcomes(&mut own, steps));
    }
    assert_close(&all, &on_one, "4, 2, 8 and 1 devices");
}

/// A learner on `device` with the state that `from` would save in a checkpoint.
fn moved_to(device: &str, from: &Learner) -> Learner {
    let (weights, (updates, moments)) = (from.named_weights(), from.saved_moments());
    let mut to = learner(&tiny(), &config(&[("run.device", device)])).unwrap();
    to.set_weights(weights.iter().map(|weight| weight.values.as_slice())).unwrap();
    let names: Vec<String> = weights.into_iter().map(|weight| weight.name).collect();
    to.resume_sharded(from.steps(), from.tokens(), updates, |spec, range| {
        let own = &moments[names.iter().position(|name| *name == spec.name).unwrap()];
        let (first, second) = (part(&own.first, &range), part(&own.second, &range));
        Ok(Some(Moments { first, second }))
    })
    .unwrap()
}

fn part(tensor: &ShardedTensor, range: &Range<usize>) -> Vec<f32> {
    tensor.iter().flatten().copied().skip(range.start).take(range.len()).collect()
}
