//! AdamW and clipping compared with PyTorch, and the laws on which training relies.

#![allow(
    clippy::unwrap_used,
    clippy::excessive_precision,
    reason = "a panic is how a test fails, and golden values keep every digit"
)]

use burn::tensor::{Device, Tensor, TensorData};
use covey_optim::error::OptimError;
use covey_optim::inner::{AdamW, AdamWConfig, AdamWState, clear, clip_scale, global_norm};

fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &Device::flex())
}

fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().unwrap()
}

/// A signal without a short period, longer than several chunks.
fn wave(length: usize, seed: usize) -> Vec<f32> {
    (0..length).map(|index| ((index * 7 + seed * 13) as f32 * 0.618).sin()).collect()
}

fn assert_close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!(
            (got - expected).abs() <= 1e-6 * expected.abs().max(1e-2),
            "got {got}, expected {expected}"
        );
    }
}

const GRADIENTS: [[f32; 5]; 4] = [
    [0.1, -0.2, 0.3, 0.0, 5.0],
    [-0.4, 0.25, 1e-4, 0.0, -2.0],
    [0.05, 0.15, -0.6, 1e-6, 0.5],
    [1.0, -1.0, 0.2, -1e-6, 0.25],
];

/// Computed by `torch.optim.AdamW(fused=True)` of torch 2.15.0 from the gradients above with
/// learning rates 0.01, 0.008, ...
const TORCH: [[f32; 5]; 4] = [
    [0.489500016, -1.23874998, 2.98699999, 0.0, -0.00900099985],
    [0.493535638, -1.2390573, 2.97917914, 0.0, -0.0117841717],
    [0.495357096, -1.24063277, 2.97940087, -0.00367723312, -0.0137704555],
    [0.493504256, -1.23841929, 2.9786098, -0.00351751316, -0.0149775911],
];

#[test]
fn steps_agree_with_torch() {
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let mut parameter = tensor(&[0.5, -1.25, 3.0, 0.0, 1e-3]);
    for (step, (gradient, expected)) in GRADIENTS.iter().zip(&TORCH).enumerate() {
        let learning_rate = 1e-2 * (1.0 - 0.2 * step as f64);
        // Half the gradient at twice the scale must give the same step.
        let halved = tensor(&gradient.map(|value| value / 2.0));
        optimizer.step([(&mut parameter, &halved)], learning_rate, 2.0).unwrap();
        assert_close(&values(&parameter), expected);
    }
    let moments = &optimizer.state().moments[0];
    assert_close(&moments.first, &[0.07939, -0.08083, -0.012121903, -9.9999964e-9, 0.27250001]);
    assert_close(&moments.second, &[0.05776744, 0.055603814, 0.02295819, 9.75e-14, 1.2672188]);
    assert_eq!(optimizer.steps(), 4);
}

/// `steps` updates of two parameters, of which the second spans several chunks.
fn train(optimizer: &mut AdamW, parameters: &mut [Tensor<1>; 2], steps: std::ops::Range<usize>) {
    for step in steps {
        let gradients = [tensor(&wave(100, step)), tensor(&wave(50_001, step + 1))];
        let scale = clip_scale(global_norm(&gradients).unwrap(), 1.0);
        optimizer.step(parameters.iter_mut().zip(&gradients), 1e-2, scale).unwrap();
    }
}

fn parameters() -> [Tensor<1>; 2] {
    [tensor(&wave(100, 5)), tensor(&wave(50_001, 6))]
}

/// Weights and moments as bits.
fn bits(optimizer: &AdamW, parameters: &[Tensor<1>; 2]) -> Vec<Vec<u32>> {
    let state = optimizer.state();
    let moments = state.moments.into_iter().flat_map(|moments| [moments.first, moments.second]);
    let all = parameters.iter().map(values).chain(moments);
    all.map(|values| values.into_iter().map(f32::to_bits).collect()).collect()
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut optimizer, mut parameters) =
                (AdamW::new(AdamWConfig::default()), parameters());
            train(&mut optimizer, &mut parameters, 0..3);
            bits(&optimizer, &parameters)
        })
    };
    let alone = run(1);
    assert_eq!(alone, run(2));
    assert_eq!(alone, run(5));
}

#[test]
fn a_restored_optimizer_makes_the_same_steps() {
    let (mut straight, mut expected) = (AdamW::new(AdamWConfig::default()), parameters());
    train(&mut straight, &mut expected, 0..6);

    let (mut first, mut weights) = (AdamW::new(AdamWConfig::default()), parameters());
    train(&mut first, &mut weights, 0..2);
    let state: AdamWState = first.state();
    let mut second = AdamW::restore(AdamWConfig::default(), state.clone(), &Device::flex());
    assert_eq!(second.state(), state);
    train(&mut second, &mut weights, 2..6);
    assert_eq!(bits(&second, &weights), bits(&straight, &expected));
}

#[test]
fn clones_of_a_parameter_keep_their_values() {
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let mut parameter = tensor(&[1.0, 2.0]);
    let snapshot = parameter.clone();
    optimizer.step([(&mut parameter, &tensor(&[1.0, 1.0]))], 0.1, 1.0).unwrap();
    assert_eq!(values(&snapshot), [1.0, 2.0]);
    assert_ne!(values(&parameter), [1.0, 2.0]);
}

#[test]
fn a_zero_gradient_leaves_only_weight_decay() {
    let config = AdamWConfig { weight_decay: 0.5, ..AdamWConfig::default() };
    let mut optimizer = AdamW::new(config);
    let mut parameter = tensor(&[8.0, -4.0]);
    optimizer.step([(&mut parameter, &tensor(&[0.0, 0.0]))], 0.5, 1.0).unwrap();
    assert_eq!(values(&parameter), [6.0, -3.0]);
}

#[test]
fn tensors_that_do_not_fit_change_nothing() {
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let mut parameter = tensor(&[1.0, 2.0]);
    let short = optimizer.step([(&mut parameter, &tensor(&[1.0]))], 0.1, 1.0).unwrap_err();
    assert_eq!(short, OptimError::Length { what: "gradient", index: 0, expected: 2, got: 1 });
    assert_eq!(short.to_string(), "gradient of parameter 0 has 1 elements, the parameter has 2");
    assert_eq!((optimizer.steps(), values(&parameter)), (0, vec![1.0, 2.0]));

    optimizer.step([(&mut parameter, &tensor(&[1.0, 1.0]))], 0.1, 1.0).unwrap();
    let none = optimizer.step([], 0.1, 1.0).unwrap_err();
    assert_eq!(none, OptimError::ParameterCount { expected: 1, got: 0 });
    let mut longer = tensor(&[1.0, 2.0, 3.0]);
    let gradient = tensor(&[1.0, 2.0, 3.0]);
    let other = optimizer.step([(&mut longer, &gradient)], 0.1, 1.0).unwrap_err();
    assert_eq!(other, OptimError::Length { what: "first moment", index: 0, expected: 3, got: 2 });
    assert_eq!(optimizer.steps(), 1);
}

#[test]
fn norm_and_clipping_agree_with_torch() {
    let norm = global_norm([&tensor(&[3.0, 0.0]), &tensor(&[0.0, 4.0])]).unwrap();
    assert_eq!(norm, 5.0);
    assert!((clip_scale(norm, 1.0) - 0.2).abs() < 1e-7);
    assert_eq!(clip_scale(0.5, 1.0), 1.0);
    assert_eq!(clip_scale(5.0, f64::INFINITY), 1.0);
}

#[test]
fn the_norm_includes_every_element_and_does_not_overflow() {
    let length = 40_003;
    assert_eq!(global_norm([&tensor(&vec![0.5; length])]).unwrap(), (length as f64 * 0.25).sqrt());
    let huge = global_norm([&tensor(&[3e38, 3e38])]).unwrap();
    assert!((huge / (f64::from(3e38f32) * 2f64.sqrt()) - 1.0).abs() < 1e-12);
}

#[test]
fn errors_name_the_gradient_with_a_nan_or_an_infinity() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut invalid = wave(40_000, 3);
        invalid[33_333] = value;
        let error = global_norm([&tensor(&[1.0]), &tensor(&invalid)]).unwrap_err();
        assert!(matches!(error, OptimError::NonFiniteGradient { index: 1, .. }), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn cleared_gradients_are_zeros_of_the_same_length() {
    let mut gradients = [tensor(&wave(20_000, 1)), tensor(&[1.0])];
    clear(&mut gradients);
    assert_eq!(gradients.each_ref().map(values), [vec![0.0; 20_000], vec![0.0]]);
}

#[test]
fn check_reports_every_constant_that_breaks_its_rule() {
    assert_eq!(AdamWConfig::default().check(), []);
    let wrong = AdamWConfig { beta1: 1.0, beta2: f64::NAN, epsilon: 0.0, weight_decay: -0.1 };
    let keys: Vec<_> = wrong.check().into_iter().map(|finding| finding.key).collect();
    assert_eq!(keys, ["beta1", "beta2", "epsilon", "weight_decay"]);
}
