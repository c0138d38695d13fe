//! Laws of the methods for outer steps, and comparisons with their published arithmetic.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod synthetic;

use std::sync::Arc;

use covey_optim::baselines::{DeMo, DeMoConfig, DiLoCo, OuterMethod, SparseLoCo};
use covey_optim::sparseloco::chunks::ChunkGrid;
use covey_optim::sparseloco::{Profile, Schema, SparseLocoConfig, SparseLocoError};
use synthetic::heavy_tailed;

const SHAPES: [(&str, &[usize]); 3] = [("embed", &[128, 64]), ("norm", &[96]), ("odd", &[20, 36])];

/// The tensors of one peer.
type Tensors = Vec<Vec<f32>>;

fn schema(profile: Profile) -> Arc<Schema> {
    Arc::new(Schema::new(profile, 64, SHAPES).unwrap())
}

fn methods(num_peers: usize) -> Vec<Box<dyn OuterMethod>> {
    let sparse = |profile, dct| {
        let config = SparseLocoConfig { profile, dct, ..SparseLocoConfig::default() };
        SparseLoCo::new(Arc::new(config.schema(SHAPES).unwrap()), &config, num_peers)
    };
    let demo = |sign| {
        DeMo::new(&schema(Profile::Covey), DeMoConfig { sign, ..DeMoConfig::default() }, num_peers)
    };
    vec![
        Box::new(sparse(Profile::Covey, false)),
        Box::new(sparse(Profile::Reference, false)),
        Box::new(sparse(Profile::Covey, true)),
        Box::new(DiLoCo::new(schema(Profile::Covey), 0.9)),
        Box::new(DiLoCo::new(schema(Profile::Covey), 0.0)),
        Box::new(demo(false).unwrap()),
        Box::new(demo(true).unwrap()),
    ]
}

fn tensors(seed: u64) -> Tensors {
    let tensor = |(seed, (_, shape)): (u64, &(&str, &[usize]))| {
        heavy_tailed(seed, shape.iter().product(), shape[shape.len() - 1])
    };
    (10 * seed..).zip(&SHAPES).map(tensor).collect()
}

fn peers(round: u64, num_peers: u64) -> Vec<Tensors> {
    (0..num_peers).map(|peer| tensors(1 + num_peers * round + peer)).collect()
}

/// The weights after three rounds.
fn run_rounds(method: &mut dyn OuterMethod, round: impl Fn(u64) -> Vec<Tensors>) -> Tensors {
    let mut weights = tensors(0);
    for number in 0..3 {
        method.round(&round(number), &mut weights, 0.5).unwrap();
    }
    weights
}

fn assert_close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    let far =
        got.iter().zip(expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f32::max);
    assert!(far <= tolerance, "{what}: off by {far}");
}

#[test]
fn methods_have_distinct_names() {
    let names: Vec<String> = methods(2).iter().map(|method| method.name().to_owned()).collect();
    let expected = [
        "SparseLoCo covey",
        "SparseLoCo reference",
        "SparseLoCo covey on frequencies",
        "DiLoCo",
        "DiLoCo without momentum",
        "DeMo",
        "DeMo with signs",
    ];
    assert_eq!(names, expected);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let all = |method: &mut Box<dyn OuterMethod>| {
            run_rounds(method.as_mut(), |round| peers(round, 4))
        };
        pool.install(|| methods(4).iter_mut().map(all).collect::<Vec<Tensors>>())
    };
    let alone = with_threads(1);
    assert_eq!(alone, with_threads(3));
    assert_eq!(alone, with_threads(8));
}

#[test]
fn equal_peers_have_the_effect_of_one() {
    // Sums of four equal numbers, divided by four, are exact; clipping of the reference is not.
    for (mut four, mut one) in methods(4).into_iter().zip(methods(1)) {
        let together = run_rounds(four.as_mut(), |round| vec![tensors(1 + round); 4]);
        let alone = run_rounds(one.as_mut(), |round| vec![tensors(1 + round)]);
        assert_eq!(together, alone, "{}", one.name());
    }
}

#[test]
fn a_rejected_round_changes_nothing() {
    let mut bad = peers(9, 4);
    bad[3][1][7] = f32::NAN;
    let mut short = peers(9, 4);
    short[2][0].pop();
    for (mut disturbed, mut undisturbed) in methods(4).into_iter().zip(methods(4)) {
        let mut weights = tensors(0);
        let not_finite =
            SparseLocoError::NonFinite { what: "pseudo-gradient", name: "norm".into() };
        assert_eq!(disturbed.round(&bad, &mut weights, 0.5), Err(not_finite));
        assert!(matches!(
            disturbed.round(&short, &mut weights, 0.5),
            Err(SparseLocoError::Length { .. })
        ));
        assert!(disturbed.round(&[], &mut weights, 0.5).is_err());
        assert!(disturbed.round(&peers(9, 4), &mut weights[..2], 0.5).is_err());
        assert_eq!(weights, tensors(0));
        let after = run_rounds(disturbed.as_mut(), |round| peers(round, 4));
        assert_eq!(
            after,
            run_rounds(undisturbed.as_mut(), |round| peers(round, 4)),
            "{}",
            undisturbed.name()
        );
    }
    let error = SparseLocoError::PeerCount { expected: 4, got: 3 };
    for mut method in methods(4).into_iter().filter(|method| !method.name().starts_with("DiLoCo")) {
        assert_eq!(method.round(&peers(9, 3), &mut tensors(0), 0.5), Err(error.clone()));
    }
}

#[test]
fn weights_that_would_not_be_finite_are_rejected() {
    for mut method in methods(1) {
        let mut weights = tensors(0);
        let large = tensors(1).into_iter().map(|tensor| vec![1e20; tensor.len()]).collect();
        let error = method.round(&[large], &mut weights, 1e39).unwrap_err();
        assert!(
            matches!(error, SparseLocoError::NonFinite { what: "weight", .. }),
            "{}: {error}",
            method.name()
        );
        assert!(weights.iter().flatten().all(|weight| weight.is_finite()));
    }
}

#[test]
fn the_number_of_bytes_is_that_of_the_messages() {
    let num_elements = 128 * 64 + 96 + 20 * 36;
    // Two blocks of 4096 that send 32, 96 elements in two chunks of 48, and one block of 720.
    let num_values = 2 * 32 + 2 * 32 + 32;
    for mut method in methods(2) {
        let sent = method.round(&peers(0, 2), &mut tensors(0), 0.5).unwrap();
        match method.name() {
            "DiLoCo" | "DiLoCo without momentum" => assert_eq!(sent, 4 * num_elements),
            "DeMo" | "DeMo with signs" => assert_eq!(sent, num_values * 44 / 8),
            _ => assert!((100..1000).contains(&sent), "{sent}"),
        }
    }
}

#[test]
fn nesterov_momentum_agrees_with_pytorch() {
    // torch.optim.SGD(lr=0.7, momentum=0.9, nesterov=True), version 2.15, on the means of both
    // peers.
    let schema = Arc::new(Schema::new(Profile::Covey, 64, [("a", &[3][..])]).unwrap());
    let mut method = DiLoCo::new(schema, 0.9);
    let mut weights = vec![vec![1.0, -2.0, 0.5]];
    let rounds = [
        ([[0.1, -0.2, 0.3], [0.3, 0.0, -0.1]], [0.734, -1.867, 0.367]),
        ([[0.05, 0.4, 0.2], [-0.15, 0.2, 0.6]], [0.687_100_05, -2.209_3, -0.221_700_03]),
        ([[0.0, -0.3, 0.1], [0.2, 0.1, -0.5]], [0.480_390_07, -2.195_37, -0.233_530_01]),
    ];
    for (steps, expected) in rounds {
        let peers: Vec<Tensors> = steps.iter().map(|step| vec![step.to_vec()]).collect();
        method.round(&peers, &mut weights, 0.7).unwrap();
        assert_close(&weights[0], &expected, 3e-7, "weights");
    }
}

#[test]
fn without_momentum_weights_follow_the_mean() {
    let mut method = DiLoCo::new(schema(Profile::Covey), 0.0);
    let mut weights = tensors(0);
    for round in 0..2 {
        let before = weights.clone();
        let steps = peers(round, 2);
        method.round(&steps, &mut weights, 0.25).unwrap();
        for (index, got) in weights.iter().enumerate() {
            let pairs = steps[0][index].iter().zip(&steps[1][index]).zip(&before[index]);
            let expected: Vec<f32> =
                pairs.map(|((a, b), weight)| weight - 0.25 * ((a + b) / 2.0)).collect();
            assert_eq!(got, &expected);
        }
    }
}

/// The cosine transform of a block by its definition, forward or inverse.
fn transform(rows: usize, columns: usize, block: &[f64], forward: bool) -> Vec<f64> {
    let basis = |side: usize, frequency: usize, place: usize| {
        let angle = std::f64::consts::PI * (place as f64 + 0.5) * frequency as f64 / side as f64;
        (if frequency == 0 { 1.0 } else { 2.0 } / side as f64).sqrt() * angle.cos()
    };
    let weight =
        |side, to, from| if forward { basis(side, to, from) } else { basis(side, from, to) };
    let value = |to: usize| {
        let terms = block.iter().enumerate().map(|(from, value)| {
            value
                * weight(rows, to / columns, from / columns)
                * weight(columns, to % columns, from % columns)
        });
        terms.sum()
    };
    (0..rows * columns).map(value).collect()
}

/// One block of DeMo by its definition, in elements and `f64`: updates each momentum and returns
/// the step.
fn published_step(
    rows: usize,
    columns: usize,
    momenta: &mut [Vec<f64>],
    steps: &[Vec<f64>],
) -> Vec<f64> {
    let (mut sums, mut senders) = (vec![0.0; rows * columns], vec![0.0_f64; rows * columns]);
    for (momentum, step) in momenta.iter_mut().zip(steps) {
        momentum
            .iter_mut()
            .zip(step)
            .for_each(|(momentum, step)| *momentum = 0.999 * *momentum + step);
        let frequencies = transform(rows, columns, momentum, true);
        let mut order: Vec<usize> = (0..frequencies.len()).collect();
        order.sort_by(|a, b| frequencies[*b].abs().total_cmp(&frequencies[*a].abs()));
        let mut sent = vec![0.0; frequencies.len()];
        for index in order.into_iter().take(32) {
            sent[index] = frequencies[index];
            sums[index] += frequencies[index];
            senders[index] += 1.0;
        }
        let decoded = transform(rows, columns, &sent, false);
        momentum.iter_mut().zip(decoded).for_each(|(momentum, sent)| *momentum -= sent);
    }
    sums.iter_mut().zip(senders).for_each(|(sum, senders)| *sum /= senders.max(1.0));
    transform(rows, columns, &sums, false)
}

#[test]
fn demo_agrees_with_its_definition() {
    // One block of 20 x 36 and two vectors of 48, for three rounds of three peers.
    let schema = schema(Profile::Covey);
    for (name, rows, columns) in [("odd", 20, 36), ("norm", 1, 48)] {
        let tensor = schema.position(name).unwrap();
        let num_blocks = ChunkGrid::new(Profile::Reference, schema.tensors()[tensor].shape())
            .unwrap()
            .num_chunks();
        let mut method = DeMo::new(&schema, DeMoConfig::default(), 3).unwrap();
        let mut weights = tensors(0);
        let mut expected: Vec<f64> =
            weights[tensor].iter().map(|weight| f64::from(*weight)).collect();
        let mut momenta = vec![vec![vec![0.0; rows * columns]; 3]; num_blocks];
        for round in 0..3 {
            let steps = peers(round, 3);
            method.round(&steps, &mut weights, 0.5).unwrap();
            let blocks = expected.chunks_mut(rows * columns).zip(&mut momenta).enumerate();
            for (block, (expected, momenta)) in blocks {
                let place = block * rows * columns..(block + 1) * rows * columns;
                let of_block = |tensors: &Tensors| {
                    tensors[tensor][place.clone()].iter().map(|x| f64::from(*x)).collect()
                };
                let steps: Vec<Vec<f64>> = steps.iter().map(of_block).collect();
                let step = published_step(rows, columns, momenta, &steps);
                expected.iter_mut().zip(step).for_each(|(weight, step)| *weight -= 0.5 * step);
            }
            let rounded: Vec<f32> = expected.iter().map(|weight| *weight as f32).collect();
            assert_close(&weights[tensor], &rounded, 1e-8, name);
        }
    }
}

#[test]
fn signs_move_every_weight_by_the_learning_rate_or_not_at_all() {
    let mut method =
        DeMo::new(&schema(Profile::Covey), DeMoConfig { sign: true, ..DeMoConfig::default() }, 2)
            .unwrap();
    let mut weights: Tensors =
        tensors(0).into_iter().map(|tensor| vec![0.0; tensor.len()]).collect();
    let mut steps = peers(0, 2);
    steps.iter_mut().for_each(|tensors| tensors[1].fill(0.0));
    method.round(&steps, &mut weights, 0.25).unwrap();
    assert!(weights[1].iter().all(|weight| *weight == 0.0));
    let moved = [&weights[0], &weights[2]].into_iter().flatten();
    assert!(
        moved.clone().all(|weight| weight.abs() == 0.25)
            && moved.clone().any(|weight| *weight < 0.0)
    );
}

#[test]
fn error_feedback_is_sent_in_later_rounds() {
    // One pseudo-gradient, then zeros: values that were not sent at first are sent in later rounds.
    let config = SparseLocoConfig { decay: 0.999, ..SparseLocoConfig::default() };
    let schema = Arc::new(config.schema([("a", &[64, 64][..])]).unwrap());
    let mut method = SparseLoCo::new(schema, &config, 1);
    let step = heavy_tailed(5, 4096, 64);
    let mut weights = vec![vec![0.0; 4096]];
    let distance =
        |weights: &[f32]| weights.iter().zip(&step).map(|(w, s)| (w + s).abs()).sum::<f32>();
    let (mut distances, start) = (Vec::new(), distance(&weights[0]));
    for round in 0..150 {
        let gradient = if round == 0 { step.clone() } else { vec![0.0; 4096] };
        method.round(&[vec![gradient]], &mut weights, 1.0).unwrap();
        distances.push(distance(&weights[0]));
    }
    assert!(distances[0] > 0.8 * start && distances[149] < 0.2 * start, "{start} {distances:?}");
}
