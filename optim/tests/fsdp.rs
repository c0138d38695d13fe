//! Laws of sharded parameters: results do not depend on the number of members.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{DType, Device, FloatDType, Tensor};
use covey_optim::error::OptimError;
use covey_optim::fsdp::{
    FsdpError, ParameterSize, Plan, ShardBytes, ShardedParameters, slab_alignment,
};
use covey_optim::inner::{AdamWConfig, AdamWState, clip_scale};

/// An embedding, two blocks and a head of a small decoder, with sides that 64 does not divide.
const UNITS: [&[&[usize]]; 4] = [
    &[&[320, 96]],
    &[&[96], &[128, 96], &[100, 96], &[96, 352]],
    &[&[96], &[128, 96], &[100, 96], &[96, 352]],
    &[&[96], &[320, 96]],
];

const MEMBERS: [usize; 6] = [1, 2, 3, 4, 5, 8];

fn plan(members: usize) -> Arc<Plan> {
    let size = |shape: &&[usize]| ParameterSize {
        elements: shape.iter().product(),
        alignment: slab_alignment(shape),
    };
    let units = UNITS.iter().map(|shapes| shapes.iter().map(size).collect()).collect();
    Arc::new(Plan::new(members, units).unwrap())
}

/// The value of an element; all are different.
fn weight(parameter: usize, element: usize) -> f32 {
    ((parameter * 7919 + element) as f32 * 0.618).sin()
}

fn weights(parameter: usize, range: Range<usize>) -> Vec<f32> {
    range.map(|element| weight(parameter, element)).collect()
}

fn shards_in(members: usize, compute: FloatDType) -> ShardedParameters {
    let fill = |parameter, range| Ok::<_, FsdpError>(weights(parameter, range));
    ShardedParameters::new(
        plan(members),
        vec![Device::flex(); members],
        compute,
        AdamWConfig::default(),
        fill,
    )
    .unwrap()
}

fn shards(members: usize) -> ShardedParameters {
    shards_in(members, FloatDType::F32)
}

fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().cast(DType::F32).into_data().try_into_vec().unwrap()
}

fn num_parameters() -> usize {
    plan(1).num_parameters()
}

/// The gradient of an element, summed over all members.
fn gradient(step: usize, parameter: usize, element: usize) -> f32 {
    ((step * 31 + parameter * 17 + element) as f32 * 0.377).cos()
}

/// Adds a share of the gradients on every member, unit by unit, as a backward pass does.
fn backward(shards: &mut ShardedParameters, step: usize) {
    let plan = Arc::clone(shards.plan());
    for unit in (0..plan.num_units()).rev() {
        let mut sums = shards.gradients(unit);
        let members = sums.len();
        for (member, sums) in sums.iter_mut().enumerate() {
            for (parameter, sum) in plan.parameters(unit).zip(sums) {
                // The first member contributes twice as much as the others.
                let share = if member == 0 { 2.0 } else { 1.0 } / (members + 1) as f32;
                let values =
                    (0..plan.elements(parameter)).map(|at| share * gradient(step, parameter, at));
                let device = Device::flex();
                let part = Tensor::<1>::from_data(values.collect::<Vec<f32>>().as_slice(), &device);
                *sum = sum.clone() + part;
            }
        }
        shards.reduce(unit, sums);
    }
}

fn train(shards: &mut ShardedParameters, steps: Range<usize>) -> Vec<f64> {
    let step = |step| {
        shards.clear_gradients();
        backward(shards, step);
        let norm = shards.gradient_norm().unwrap();
        shards.step(1e-2, clip_scale(norm, 1.0)).unwrap();
        norm
    };
    steps.map(step).collect()
}

fn assert_close(got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!(
            (got - expected).abs() <= tolerance * expected.abs().max(0.1),
            "got {got}, expected {expected}"
        );
    }
}

#[test]
fn every_member_gathers_all_weights() {
    for members in MEMBERS {
        let mut shards = shards(members);
        for unit in [0, 1, 2, 3, 0] {
            let parameters = shards.plan().parameters(unit);
            let gathered = shards.gather(unit);
            assert_eq!(gathered.len(), members);
            for own in gathered {
                assert_eq!(own.len(), parameters.len());
                for (parameter, tensor) in parameters.clone().zip(own) {
                    assert_eq!(
                        values(&tensor),
                        weights(parameter, 0..shards.plan().elements(parameter))
                    );
                }
            }
        }
    }
}

#[test]
fn prefetched_units_are_dropped_when_weights_change() {
    let mut shards = shards(3);
    shards.prefetch(1);
    shards.prefetch(1);
    assert_eq!(values(&shards.gather(1)[2][1]), weights(2, 0..shards.plan().elements(2)));
    shards.prefetch(1);
    let other = vec![0.5; shards.plan().elements(2)];
    shards.set_weight(2, &other).unwrap();
    assert_eq!(values(&shards.gather(1)[0][1]), other);
    shards.prefetch(1);
    backward(&mut shards, 0);
    shards.step(1e-2, 1.0).unwrap();
    assert_eq!(values(&shards.gather(1)[1][1]), shards.weight(2));
}

#[test]
fn bf16_weights_are_casts_of_the_fp32_weights() {
    for members in MEMBERS {
        let mut shards = shards_in(members, FloatDType::BF16);
        let gathered = shards.gather(1);
        for (parameter, tensor) in shards.plan().parameters(1).zip(&gathered[members - 1]) {
            assert_eq!(tensor.dtype(), DType::BF16);
            let fp32 = Tensor::<1>::from_data(shards.weight(parameter).as_slice(), &Device::flex());
            assert_eq!(values(tensor), values(&fp32.cast(DType::BF16)));
        }
        assert_eq!(shards.gradients(1)[0][0].dtype(), DType::F32);
    }
}

/// The gradients of a parameter, derived from a step: after one step the first moment is a tenth of
/// the gradient.
fn gradients_of(shards: &mut ShardedParameters, parameter: usize) -> Vec<f32> {
    shards.step(0.0, 1.0).unwrap();
    shards.moments(parameter).unwrap().first.iter().map(|value| value * 10.0).collect()
}

#[test]
fn reduce_adds_up_the_gradients_of_all_members() {
    for members in MEMBERS {
        let mut shards = shards(members);
        // Twice, as for the embedding of a network with tied weights: gradients add up.
        backward(&mut shards, 3);
        backward(&mut shards, 3);
        for parameter in 0..num_parameters() {
            let expected: Vec<f32> = (0..shards.plan().elements(parameter))
                .map(|at| 2.0 * gradient(3, parameter, at))
                .collect();
            shards.restore(&AdamWState::default()).unwrap();
            assert_close(&gradients_of(&mut shards, parameter), &expected, 1e-5);
        }
        shards.clear_gradients();
        assert_eq!(shards.gradient_norm().unwrap(), 0.0);
    }
}

#[test]
fn training_does_not_depend_on_the_number_of_members() {
    let mut alone = shards(1);
    let norms = train(&mut alone, 0..5);
    for members in MEMBERS {
        let mut shards = shards(members);
        for (got, expected) in train(&mut shards, 0..5).iter().zip(&norms) {
            assert!((got / expected - 1.0).abs() < 1e-6, "{got} and {expected}");
        }
        let (got, expected) = (shards.state(), alone.state());
        assert_eq!((got.steps, got.moments.len()), (5, num_parameters()));
        for parameter in 0..num_parameters() {
            assert_close(&shards.weight(parameter), &alone.weight(parameter), 1e-5);
            assert_close(&got.moments[parameter].first, &expected.moments[parameter].first, 1e-5);
            assert_close(&got.moments[parameter].second, &expected.moments[parameter].second, 1e-5);
        }
    }
}

/// Resumes with another number of members: reads a checkpoint piece by piece and loads it.
fn resumed(from: &ShardedParameters, members: usize) -> ShardedParameters {
    let whole: Vec<Vec<f32>> = (0..num_parameters())
        .map(|parameter| from.weight_pieces(parameter).flatten().collect())
        .collect();
    let mut shards = shards(members);
    shards
        .set_weights(|parameter, range| Ok::<_, FsdpError>(whole[parameter][range].to_vec()))
        .unwrap();
    shards.restore(&from.state()).unwrap();
    shards
}

#[test]
fn a_state_can_be_resumed_with_any_number_of_members() {
    let mut straight = shards(1);
    train(&mut straight, 0..6);
    let mut four = shards(4);
    train(&mut four, 0..2);
    let mut two = resumed(&four, 2);
    assert_eq!((two.state(), two.weight(3)), (four.state(), four.weight(3)));
    train(&mut two, 2..4);
    let mut eight = resumed(&two, 8);
    train(&mut eight, 4..6);
    assert_eq!(eight.steps(), 6);
    for parameter in 0..num_parameters() {
        assert_close(&eight.weight(parameter), &straight.weight(parameter), 1e-5);
    }
}

#[test]
fn offloading_does_not_change_training() {
    let (mut kept, mut moved) = (shards(3), shards(3));
    train(&mut kept, 0..2);
    train(&mut moved, 0..2);
    moved.offload_moments();
    assert_eq!(moved.state(), kept.state());
    moved.reload_moments();
    train(&mut kept, 2..4);
    moved.offload_moments();
    train(&mut moved, 2..4);
    assert_eq!(moved.state(), kept.state());
}

#[test]
fn members_store_sixteen_bytes_per_owned_element() {
    for members in MEMBERS {
        let mut shards = shards(members);
        train(&mut shards, 0..1);
        for member in 0..members {
            let owned = shards.plan().owned(member);
            let expected =
                ShardBytes { weights: 4 * owned, gradients: 4 * owned, moments: 8 * owned };
            assert_eq!(shards.bytes(member), expected);
        }
    }
}

#[test]
fn errors_name_the_parameter_with_an_infinite_gradient() {
    for members in MEMBERS {
        let mut shards = shards(members);
        let mut sums = shards.gradients(2);
        let length = shards.plan().elements(7);
        let mut infinite = vec![0.0; length];
        infinite[length - 1] = f32::INFINITY;
        sums[members - 1][2] = Tensor::from_data(infinite.as_slice(), &Device::flex());
        shards.reduce(2, sums);
        let error = shards.gradient_norm().unwrap_err();
        assert!(matches!(error, OptimError::NonFiniteGradient { index: 7, .. }), "{error}");
    }
}

#[test]
fn values_that_do_not_fit_are_rejected() {
    let fill = |_, _| Ok::<_, FsdpError>(Vec::new());
    let few = ShardedParameters::new(
        plan(2),
        vec![Device::flex()],
        FloatDType::F32,
        AdamWConfig::default(),
        fill,
    )
    .unwrap_err();
    assert_eq!(few, FsdpError::DeviceCount { expected: 2, got: 1 });
    let short = ShardedParameters::new(
        plan(1),
        vec![Device::flex()],
        FloatDType::F32,
        AdamWConfig::default(),
        fill,
    )
    .unwrap_err();
    assert_eq!(
        short,
        FsdpError::Length { what: "weights", parameter: 0, expected: 320 * 96, got: 0 }
    );

    let mut shards = shards(2);
    assert!(matches!(shards.set_weight(1, &[1.0]), Err(FsdpError::Length { parameter: 1, .. })));
    train(&mut shards, 0..1);
    let mut state = shards.state();
    state.moments[4].second.pop();
    let wrong = shards.restore(&state).unwrap_err();
    assert!(
        matches!(wrong, FsdpError::Length { what: "second moment", parameter: 4, .. }),
        "{wrong}"
    );
    state.moments.pop();
    assert!(matches!(shards.restore(&state), Err(FsdpError::ParameterCount { .. })));
    assert_eq!(shards.steps(), 1);
}
