//! Laws of the initial weights: frozen bits, independence of the division, distributions.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be built is a failed test")]

use covey_model::config::{ModelConfig, ParameterSpec, Role, preset};
use covey_model::init::Initializer;

fn config(tied: bool) -> ModelConfig {
    ModelConfig { hidden_size: 256, tied, ..preset("tiny").unwrap() }
}

fn spec(name: &str, shape: &[usize], role: Role) -> ParameterSpec {
    ParameterSpec { name: name.into(), shape: shape.into(), role }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Mean, standard deviation, and kurtosis.
fn moments(numbers: &[f32]) -> (f64, f64, f64) {
    let count = numbers.len() as f64;
    let mean = numbers.iter().map(|number| f64::from(*number)).sum::<f64>() / count;
    let [second, fourth] = [2, 4].map(|exponent| {
        numbers.iter().map(|number| (f64::from(*number) - mean).powi(exponent)).sum::<f64>() / count
    });
    (mean, second.sqrt(), fourth / second.powi(2))
}

#[test]
fn bits_do_not_depend_on_how_a_tensor_is_divided() {
    let spec = spec("model.layers.3.mlp.up_proj.weight", &[1000, 256], Role::Output { layer: 3 });
    let initializer = Initializer::new(42, &config(false));
    let whole = initializer.tensor(&spec);
    for part in [1, 511, 512, 65_536, 100_003] {
        let mut split = vec![0.0; whole.len()];
        let stop = if part == 1 { 2000 } else { whole.len() };
        for (index, numbers) in split[..stop].chunks_mut(part).enumerate() {
            initializer.fill(&spec, (index * part) as u64, numbers);
        }
        assert_eq!(bits(&split[..stop]), bits(&whole[..stop]), "parts of {part}");
    }
}

// All expected bits were computed by an independent implementation in Python.
#[test]
fn bits_are_frozen() {
    let initializer = Initializer::new(42, &config(false));
    let first = |name: &str, role| {
        let mut numbers = [0.0; 4];
        initializer.fill(&spec(name, &[4], role), 0, &mut numbers);
        numbers.map(f32::to_bits)
    };
    assert_eq!(
        first("model.embed_tokens.weight", Role::Embedding),
        [0x3DCC_4DE7, 0xBDC3_57BE, 0x3DE7_C114, 0x3E5B_F03B]
    );
    assert_eq!(
        first("model.layers.0.self_attn.q_proj.weight", Role::Input),
        [0x3D4F_BAC0, 0x3C44_A2E1, 0x3D16_E4D7, 0xBCB5_34F9]
    );
    assert_eq!(
        first("model.layers.7.mlp.down_proj.weight", Role::Output { layer: 7 }),
        [0x3B84_2AAA, 0xBBE0_F3C9, 0xBAE1_C7DD, 0xB9A5_7F9C]
    );
    assert_eq!(
        first("lm_head.weight", Role::Head),
        [0x3C90_C3AB, 0xBD4B_05D1, 0xBD08_9B13, 0x3D0F_9135]
    );
    let far = spec("model.embed_tokens.weight", &[1 << 20, 1 << 20], Role::Embedding);
    let mut numbers = [0.0; 2];
    initializer.fill(&far, (1 << 40) - 2, &mut numbers);
    assert_eq!(numbers.map(f32::to_bits), [0xBF1D_E3B6, 0x3D12_9624]);
    let all: Vec<f32> = initializer.tensor(&spec("golden", &[1_000_000], Role::Embedding));
    let folded =
        all.iter().fold(0u64, |sum, number| sum.rotate_left(5) ^ u64::from(number.to_bits()));
    assert_eq!(folded, 0xE887_7C27_38EF_7B89, "a million numbers");
}

#[test]
fn each_role_has_its_mean_deviation_and_kurtosis() {
    let untied = Initializer::new(1, &config(false));
    let cases = [
        (Role::Embedding, 1.0, 3.0),
        (Role::Input, 0.02, 3.0),
        (Role::Output { layer: 0 }, 0.02 / 2f64.sqrt(), 3.0),
        (Role::Output { layer: 7 }, 0.005, 3.0),
        // Variance and kurtosis of a normal distribution truncated at 3 sigma: 0.973337 sigma^2 and
        // 2.8363.
        (Role::Head, 0.973_337_f64.sqrt() / 16.0, 2.8363),
    ];
    for (role, sigma, kurtosis) in cases {
        let numbers = untied.tensor(&spec("spread", &[4000, 1000], role));
        let (mean, deviation, fourth) = moments(&numbers);
        assert!(mean.abs() < 4.0 * sigma / 2000.0, "{role:?}: mean {mean}");
        assert!((deviation / sigma - 1.0).abs() < 2e-3, "{role:?}: sigma {deviation}");
        assert!((fourth - kurtosis).abs() < 0.01, "{role:?}: kurtosis {fourth}");
    }
}

#[test]
fn tails_have_the_probabilities_of_a_normal_distribution() {
    let numbers =
        Initializer::new(5, &config(false)).tensor(&spec("tails", &[10_000_000], Role::Embedding));
    for (sigmas, share) in
        [(1.0, 0.317_310_5), (2.0, 0.045_500_3), (3.0, 0.002_699_80), (4.0, 6.334_25e-5)]
    {
        let beyond =
            numbers.iter().filter(|number| f64::from(number.abs()) > sigmas).count() as f64;
        let expected = share * numbers.len() as f64;
        assert!(
            (beyond - expected).abs() < 4.0 * expected.sqrt(),
            "{beyond} beyond {sigmas}, {expected} expected"
        );
    }
    let largest = numbers.iter().fold(0.0f32, |largest, number| largest.max(number.abs()));
    assert!((4.8..6.6).contains(&largest), "{largest}");
}

#[test]
fn no_weight_of_a_head_exceeds_three_sigma() {
    let numbers = Initializer::new(5, &config(false)).tensor(&spec(
        "lm_head.weight",
        &[4_000_000],
        Role::Head,
    ));
    let largest = numbers.iter().fold(0.0f32, |largest, number| largest.max(number.abs()));
    assert!(largest <= 3.0 / 16.0 && largest > 2.99 / 16.0, "{largest}");
}

#[test]
fn norms_are_initially_one() {
    let numbers = Initializer::new(1, &config(false)).tensor(&config(false).parameters().norm);
    assert!(numbers.iter().all(|number| *number == 1.0));
}

#[test]
fn a_tied_embedding_has_the_distribution_of_a_head() {
    let embedding = config(true).parameters().embedding;
    let tied = Initializer::new(1, &config(true)).tensor(&embedding);
    assert!((moments(&tied).1 * 16.0 - 0.973_337f64.sqrt()).abs() < 0.01);
    let untied = Initializer::new(1, &config(false)).tensor(&embedding);
    assert!((moments(&untied).1 - 1.0).abs() < 0.01);
}

#[test]
fn weights_of_different_seeds_or_names_are_uncorrelated() {
    let numbers = |seed, name| {
        Initializer::new(seed, &config(false)).tensor(&spec(name, &[100_000], Role::Embedding))
    };
    let reference = numbers(1, "a");
    for other in [numbers(2, "a"), numbers(1, "b")] {
        let product: f64 = reference.iter().zip(&other).map(|(a, b)| f64::from(a * b)).sum();
        assert!((product / 1e5).abs() < 4.0 / 1e5f64.sqrt(), "correlation {}", product / 1e5);
    }
}
