//! Losses of twenty steps do not depend on how many share the work.

use covey::training::learner::{Learner, StepOutcome};

use crate::fixtures::{LENGTH, config, learner, tiny, tokens};

const STEPS: u64 = 20;

fn outcomes(learner: &mut Learner, steps: std::ops::Range<u64>) -> Vec<StepOutcome> {
    steps.map(|step| learner.step(&tokens(step, tiny().vocab_size), LENGTH).unwrap()).collect()
}

fn trained(settings: &[(&str, &str)]) -> Vec<StepOutcome> {
    outcomes(&mut learner(&tiny(), &config(settings)).unwrap(), 0..STEPS)
}

fn assert_agree(one: &[StepOutcome], other: &[StepOutcome], what: &str) {
    assert_eq!(one.len(), other.len());
    for (step, (one, other)) in one.iter().zip(other).enumerate() {
        for (one, other) in [(one.loss, other.loss), (one.grad_norm, other.grad_norm)] {
            assert!((one / other - 1.0).abs() <= 1e-5, "{what}, step {step}: {one} and {other}");
        }
    }
}

#[test]
fn sharding_is_invisible() {
    let alone = trained(&[]);
    assert!(alone[19].loss < alone[0].loss - 0.5, "nothing was learned: {alone:?}");
    for device in ["cpu:2", "cpu:3", "cpu:4", "cpu:8"] {
        assert_agree(&trained(&[("run.device", device)]), &alone, device);
    }
}

#[test]
fn recomputation_is_invisible() {
    let recompute = ("memory.recompute", "blocks");
    let alone = trained(&[]);
    // On one member no sum is taken in another order.
    assert_eq!(trained(&[recompute]), alone);
    assert_eq!(trained(&[recompute, ("memory.recompute_every", "3")]), alone);
    for device in ["cpu:2", "cpu:3", "cpu:4", "cpu:8"] {
        assert_agree(&trained(&[("run.device", device), recompute]), &alone, device);
    }
}

/// bf16 keeps 8 bits of a number: losses follow those of fp32 to about that, and learning is as fast.
#[test]
fn half_precision_learns_the_same() {
    let half = ("train.precision", "bf16");
    let (whole, alone) = (trained(&[]), trained(&[half]));
    let shared = trained(&[half, ("run.device", "cpu:2"), ("memory.recompute", "blocks")]);
    for (step, (whole, half)) in
        whole.iter().zip(&alone).chain(whole.iter().zip(&shared)).enumerate()
    {
        assert!(
            (half.loss / whole.loss - 1.0).abs() <= 0.005,
            "step {step}: {whole:?} and {half:?}"
        );
    }
    assert_ne!(whole, alone);
}

#[test]
fn micro_batches_are_invisible() {
    let alone = trained(&[]);
    for (device, micro, together) in
        [("cpu", "4", "auto"), ("cpu", "1", "4"), ("cpu:2", "1", "1"), ("cpu:2", "1", "auto")]
    {
        let settings = [
            ("run.device", device),
            ("train.micro_batch_size", micro),
            ("memory.gather_for", together),
        ];
        assert_agree(&trained(&settings), &alone, &format!("{settings:?}"));
    }
}

#[test]
fn a_state_goes_on_with_any_number_of_members() {
    let alone = trained(&[]);
    let mut own = learner(&tiny(), &config(&[("run.device", "cpu:4")])).unwrap();
    let mut all = outcomes(&mut own, 0..7);
    for (device, steps) in [("cpu:2", 7..13), ("cpu:8", 13..17), ("cpu", 17..STEPS)] {
        own = handed_over(&own, device);
        all.extend(outcomes(&mut own, steps));
    }
    assert_agree(&all, &alone, "4, 2, 8 and 1 members");
}

/// A learner on other devices that has what `from` would write into a checkpoint.
fn handed_over(from: &Learner, device: &str) -> Learner {
    let (weights, (updates, moments)) = (from.named_weights(), from.saved_moments());
    let mut to = learner(&tiny(), &config(&[("run.device", device)])).unwrap();
    to.set_weights(weights.iter().map(|weight| weight.values.as_slice())).unwrap();
    let names: Vec<String> = weights.into_iter().map(|weight| weight.name).collect();
    to.at(from.steps(), from.tokens(), updates, |spec, range| {
        let own = &moments[names.iter().position(|name| *name == spec.name).unwrap()];
        let part = |pieces: &covey::training::checkpoint::ShardedTensor| -> Vec<f32> {
            pieces.iter().flatten().copied().skip(range.start).take(range.len()).collect()
        };
        Ok(Some(covey_optim::inner::Moments { first: part(&own.first), second: part(&own.second) }))
    })
    .unwrap()
}
