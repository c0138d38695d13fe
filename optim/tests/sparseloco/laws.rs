//! Laws of compression, aggregation and the outer step.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::synthetic::{Noise, heavy_tailed};
use covey_optim::sparseloco::{
    Clip, CodedValue, Compressor, Delta, MeanOver, Profile, Schema, SparseLocoError, aggregate,
    outer_step,
};

const SHAPES: [(&str, &[usize]); 4] =
    [("bias", &[4100]), ("embed", &[512, 192]), ("norm", &[96]), ("odd", &[100, 36])];

fn schema(profile: Profile) -> Arc<Schema> {
    Arc::new(Schema::new(profile, 64, SHAPES).unwrap())
}

fn gradients(schema: &Schema, seed: u64) -> Vec<Vec<f32>> {
    let columns = |shape: &[usize]| shape.last().copied().unwrap_or(1);
    let tensors = (10 * seed..).zip(schema.tensors());
    tensors
        .map(|(seed, spec)| heavy_tailed(seed, spec.grid().len(), columns(spec.shape())))
        .collect()
}

fn compress(compressor: &mut Compressor, gradients: &[Vec<f32>]) -> Result<Delta, SparseLocoError> {
    let slices: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
    compressor.compress(&slices)
}

fn deltas(schema: &Arc<Schema>, peers: u64) -> BTreeMap<u64, Delta> {
    let delta = |peer| {
        compress(&mut Compressor::new(Arc::clone(schema), 0.95), &gradients(schema, peer)).unwrap()
    };
    (0..peers).map(|peer| (peer, delta(peer))).collect()
}

fn bits(tensors: &[Vec<f32>]) -> Vec<u32> {
    tensors.iter().flatten().map(|value| value.to_bits()).collect()
}

/// Runs three rounds of four peers: returns the weights, and the error feedback of all peers.
fn run_rounds(profile: Profile) -> (Vec<u32>, Vec<u32>) {
    let schema = schema(profile);
    let mut compressors: Vec<Compressor> =
        (0..4).map(|_| Compressor::new(Arc::clone(&schema), 0.95)).collect();
    let mut theta: Vec<Vec<f32>> = gradients(&schema, 99);
    for round in 0..3 {
        let sent: BTreeMap<usize, Delta> = compressors
            .iter_mut()
            .enumerate()
            .map(|(peer, compressor)| {
                (peer, compress(compressor, &gradients(&schema, 4 * round + peer as u64)).unwrap())
            })
            .collect();
        let step = aggregate(&sent, MeanOver::Senders, Clip::MedianNorm).unwrap();
        let mut weights: Vec<&mut [f32]> = theta.iter_mut().map(Vec::as_mut_slice).collect();
        assert_eq!(outer_step(&schema, &mut weights, &step, 0.7).unwrap(), Vec::<&str>::new());
    }
    (bits(&theta), compressors.iter().flat_map(|compressor| bits(compressor.errors())).collect())
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for profile in [Profile::Reference, Profile::Covey] {
        let with_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run_rounds(profile))
        };
        let alone = with_threads(1);
        assert_eq!(alone, with_threads(3));
        assert_eq!(alone, with_threads(8));
    }
}

#[test]
fn delta_and_error_feedback_sum_to_the_pseudo_gradient() {
    for profile in [Profile::Reference, Profile::Covey] {
        let schema = schema(profile);
        let mut compressor = Compressor::new(Arc::clone(&schema), 0.95);
        let gradients = gradients(&schema, 1);
        let delta = compress(&mut compressor, &gradients).unwrap();
        for ((tensor, error), gradient) in delta.tensors().zip(compressor.errors()).zip(&gradients)
        {
            let sent = tensor.dense();
            for ((sent, error), gradient) in sent.iter().zip(error).zip(gradient) {
                assert!((sent + error - gradient).abs() <= 1e-6 * (gradient.abs() + sent.abs()));
            }
        }
    }
}

#[test]
fn a_returned_delta_is_in_the_error_feedback() {
    let schema = schema(Profile::Covey);
    let gradients = gradients(&schema, 2);
    let mut compressor = Compressor::new(Arc::clone(&schema), 0.95);
    let delta = compress(&mut compressor, &gradients).unwrap();
    compressor.return_mass(&delta).unwrap();
    for (error, gradient) in compressor.errors().iter().zip(&gradients) {
        let far = error
            .iter()
            .zip(gradient)
            .map(|(error, gradient)| (error - gradient).abs())
            .fold(0.0, f32::max);
        assert!(far < 1e-9, "{far}");
    }
    let other = Schema::new(Profile::Reference, 64, SHAPES).unwrap();
    let foreign = deltas(&Arc::new(other), 1).remove(&0).unwrap();
    assert_eq!(compressor.return_mass(&foreign), Err(SparseLocoError::OtherSchema));
}

#[test]
fn replacing_leaves_the_error_feedback_of_the_published_delta() {
    for profile in [Profile::Reference, Profile::Covey] {
        let schema = schema(profile);
        let (first, second) = (gradients(&schema, 11), gradients(&schema, 12));
        let new = || Compressor::new(Arc::clone(&schema), 0.95);
        let published = compress(&mut new(), &first).unwrap();
        let mut restarted = new();
        let made = compress(&mut restarted, &second).unwrap();
        let before = restarted.clone();
        restarted.replace(&made, &made).unwrap();
        assert_eq!(restarted.errors(), before.errors());
        restarted.replace(&made, &published).unwrap();
        for ((tensor, error), gradient) in published.tensors().zip(restarted.errors()).zip(&second)
        {
            for ((sent, error), gradient) in tensor.dense().iter().zip(error).zip(gradient) {
                assert!(
                    (sent + error - gradient).abs()
                        <= 1e-6 * (gradient.abs() + 2.0 * sent.abs()) + 1e-9
                );
            }
        }
        let other = if profile == Profile::Covey { Profile::Reference } else { Profile::Covey };
        let foreign =
            deltas(&Arc::new(Schema::new(other, 64, SHAPES).unwrap()), 1).remove(&0).unwrap();
        assert_eq!(restarted.replace(&made, &foreign), Err(SparseLocoError::OtherSchema));
        assert_eq!(restarted.replace(&foreign, &made), Err(SparseLocoError::OtherSchema));
    }
}

#[test]
fn a_restored_compressor_makes_the_same_deltas() {
    let schema = schema(Profile::Covey);
    let mut first = Compressor::new(Arc::clone(&schema), 0.95);
    compress(&mut first, &gradients(&schema, 3)).unwrap();
    let mut second = Compressor::new(Arc::clone(&schema), 0.95);
    second.restore(first.errors().to_vec()).unwrap();
    let next = gradients(&schema, 4);
    assert_eq!(compress(&mut first, &next).unwrap(), compress(&mut second, &next).unwrap());
    assert_eq!(bits(first.errors()), bits(second.errors()));
    second.reset();
    assert!(second.errors().iter().flatten().all(|error| *error == 0.0));
}

#[test]
fn a_rejected_pseudo_gradient_changes_nothing() {
    let schema = schema(Profile::Covey);
    let mut compressor = Compressor::new(Arc::clone(&schema), 0.95);
    compress(&mut compressor, &gradients(&schema, 5)).unwrap();
    let before = bits(compressor.errors());
    for bad in [f32::NAN, f32::NEG_INFINITY, 1e27] {
        let mut gradients = gradients(&schema, 6);
        gradients[3][7] = bad;
        let error = compress(&mut compressor, &gradients).unwrap_err();
        assert_eq!(
            error,
            SparseLocoError::NonFinite { what: "pseudo-gradient", name: "odd".into() }
        );
    }
    let mut short = gradients(&schema, 6);
    short[0].pop();
    assert!(matches!(
        compress(&mut compressor, &short),
        Err(SparseLocoError::Length { got: 4099, .. })
    ));
    short.pop();
    assert_eq!(
        compress(&mut compressor, &short),
        Err(SparseLocoError::TensorCount { expected: 4, got: 3 })
    );
    assert!(compressor.restore(vec![vec![f32::NAN; 4100]]).is_err());
    assert_eq!(bits(compressor.errors()), before);
}

/// The delta of a vector of four elements that are all sent.
fn delta_of(codes: [u8; 4], small: f32, large: f32) -> Delta {
    let schema = Arc::new(Schema::new(Profile::Covey, 4096, [("a", &[4][..])]).unwrap());
    let entries = codes
        .into_iter()
        .enumerate()
        .map(|(position, code)| CodedValue::new(position, code))
        .collect();
    Delta::new(schema, entries, vec![[small, large, -small, -large]]).unwrap()
}

#[test]
fn a_large_delta_is_clipped_to_the_lower_median() {
    let round =
        BTreeMap::from([(1, delta_of([0; 4], 1.0, 1.0)), (2, delta_of([0; 4], 1024.0, 1024.0))]);
    let step = aggregate(&round, MeanOver::Senders, Clip::MedianNorm).unwrap();
    assert_eq!(step.tensors, [vec![1.0; 4]]);
    assert_eq!(aggregate(&round, MeanOver::Senders, Clip::Off).unwrap().tensors, [vec![512.5; 4]]);
}

#[test]
fn a_delta_of_zeros_can_be_clipped() {
    let round = BTreeMap::from([
        (1, delta_of([0; 4], 0.0, 0.0)),
        (2, delta_of([0; 4], 0.0, 0.0)),
        (3, delta_of([0; 4], 1.0, 1.0)),
    ]);
    assert_eq!(
        aggregate(&round, MeanOver::Peers, Clip::MedianNorm).unwrap().tensors,
        [vec![0.0; 4]]
    );
}

#[test]
fn means_over_senders_and_peers_differ_in_the_divisor() {
    let schema = Arc::new(Schema::new(Profile::Covey, 2048, [("a", &[4][..])]).unwrap());
    let delta = |positions: [usize; 2]| {
        let entries = positions.map(|position| CodedValue::new(position, 1)).to_vec();
        Delta::new(Arc::clone(&schema), entries, vec![[0.5, 1.0, -0.5, -1.0]]).unwrap()
    };
    let round = BTreeMap::from([(1, delta([0, 1])), (2, delta([1, 2]))]);
    assert_eq!(
        aggregate(&round, MeanOver::Senders, Clip::MedianNorm).unwrap().tensors,
        [vec![1.0, 1.0, 1.0, 0.0]]
    );
    assert_eq!(
        aggregate(&round, MeanOver::Peers, Clip::MedianNorm).unwrap().tensors,
        [vec![0.5, 1.0, 0.5, 0.0]]
    );
}

#[test]
fn the_aggregate_is_the_mean_of_clipped_deltas() {
    let schema = schema(Profile::Covey);
    let deltas = deltas(&schema, 5);
    let step = aggregate(&deltas, MeanOver::Peers, Clip::MedianNorm).unwrap();
    for (index, got) in step.tensors.iter().enumerate() {
        let mut norms: Vec<f64> = deltas.values().map(|delta| delta.tensor(index).norm()).collect();
        norms.sort_by(f64::total_cmp);
        let mut expected = vec![0.0; got.len()];
        for delta in deltas.values() {
            let scale = (norms[2] / delta.tensor(index).norm()).min(1.0) / 5.0;
            let dense = delta.tensor(index).dense();
            expected
                .iter_mut()
                .zip(dense)
                .for_each(|(sum, value)| *sum += scale * f64::from(value));
        }
        let size = expected.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
        assert!(
            got.iter()
                .zip(&expected)
                .all(|(got, expected)| (f64::from(*got) - expected).abs() <= 1e-6 * size)
        );
    }
}

#[test]
fn no_deltas_and_deltas_of_other_schemas_are_rejected() {
    assert_eq!(
        aggregate(&BTreeMap::<u64, Delta>::new(), MeanOver::Peers, Clip::MedianNorm),
        Err(SparseLocoError::NoDeltas)
    );
    let mut mixed = deltas(&schema(Profile::Covey), 1);
    mixed.extend(deltas(&schema(Profile::Reference), 2).split_off(&1));
    assert_eq!(
        aggregate(&mixed, MeanOver::Peers, Clip::MedianNorm),
        Err(SparseLocoError::OtherSchema)
    );
}

#[test]
fn invalid_deltas_are_rejected() {
    let schema = Arc::new(Schema::new(Profile::Covey, 2048, [("a", &[4][..])]).unwrap());
    let make = |positions: &[usize], levels: [f32; 4]| {
        let entries = positions.iter().map(|position| CodedValue::new(*position, 0)).collect();
        Delta::new(Arc::clone(&schema), entries, vec![levels]).map(|_| ())
    };
    let valid = [0.5, 1.0, -0.5, -1.0];
    let entry = |entry| Err(SparseLocoError::Entry { name: "a".into(), chunk: 0, entry });
    assert_eq!(make(&[0, 3], valid), Ok(()));
    assert_eq!(make(&[1, 1], valid), entry(1));
    assert_eq!(make(&[3, 0], valid), entry(1));
    assert_eq!(make(&[0, 4], valid), entry(1));
    assert_eq!(make(&[0], valid), Err(SparseLocoError::EntryCount { expected: 2, got: 1 }));
    assert!(matches!(make(&[0, 1], [f32::NAN; 4]), Err(SparseLocoError::NonFinite { .. })));
    assert!(matches!(make(&[0, 1], [1.0, 0.5, -1.0, -0.5]), Err(SparseLocoError::Levels { .. })));
}

#[test]
fn error_feedback_is_sent_in_the_end() {
    // The same small pseudo-gradient in many rounds with almost no decay: the sum of deltas follows
    // the sum of pseudo-gradients, although a round sends one value in 64.
    let schema = Arc::new(Schema::new(Profile::Covey, 64, [("a", &[64, 64][..])]).unwrap());
    let mut noise = Noise::new(1);
    let gradient: Vec<f32> = (0..4096).map(|_| (noise.uniform() + 0.5) as f32).collect();
    let mut compressor = Compressor::new(schema, 0.999);
    let mut sent = vec![0.0; 4096];
    for _ in 0..400 {
        let delta = compress(&mut compressor, std::slice::from_ref(&gradient)).unwrap();
        delta.tensor(0).add_to(&mut sent);
    }
    let (given, sent): (f32, f32) = (400.0 * gradient.iter().sum::<f32>(), sent.iter().sum());
    assert!(sent > 0.8 * given && sent < given, "{sent} of {given}");
}
