//! Laws of deltas that contain frequencies instead of elements.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::synthetic::heavy_tailed;
use covey_optim::codec::{Codec, DecodeError};
use covey_optim::sparseloco::{
    Clip, Compressor, Delta, MeanOver, Profile, Schema, SparseLocoConfig, aggregate, outer_step,
};

const SHAPES: [(&str, &[usize]); 3] =
    [("embed", &[128, 192]), ("norm", &[96]), ("odd", &[100, 36])];

const PROFILES: [Profile; 2] = [Profile::Reference, Profile::Covey];

fn schema(profile: Profile) -> Arc<Schema> {
    Arc::new(
        SparseLocoConfig { profile, dct: true, ..SparseLocoConfig::default() }
            .schema(SHAPES)
            .unwrap(),
    )
}

fn gradients(schema: &Schema, seed: u64) -> Vec<Vec<f32>> {
    let tensors = (10 * seed..).zip(schema.tensors());
    tensors
        .map(|(seed, spec)| {
            heavy_tailed(seed, spec.grid().len(), spec.shape()[spec.shape().len() - 1])
        })
        .collect()
}

fn compress(compressor: &mut Compressor, gradients: &[Vec<f32>]) -> Delta {
    let slices: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
    compressor.compress(&slices).unwrap()
}

fn assert_close(got: &[f32], expected: &[f32]) {
    let size = expected.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
    assert!(got.iter().zip(expected).all(|(got, expected)| (got - expected).abs() <= 1e-5 * size));
}

/// One cosine along the rows of every block: a single frequency per block.
fn wave() -> Vec<f32> {
    let place = |index: usize| (index % 64) as f32 + 0.5;
    (0..128 * 192)
        .map(|index| 1e-3 * (std::f32::consts::PI * 5.0 * place(index) / 64.0).cos())
        .collect()
}

#[test]
fn a_wave_is_sent_as_one_frequency() {
    let shapes = [("a", &[128, 192][..])];
    let error = |schema: Schema| {
        let delta = compress(&mut Compressor::new(Arc::new(schema), 0.95), &[wave()]);
        let pairs = delta.tensor(0).dense().into_iter().zip(wave());
        pairs.map(|(got, expected)| (got - expected).powi(2)).sum::<f32>()
            / wave().iter().map(|x| x * x).sum::<f32>()
    };
    let elements = error(Schema::new(Profile::Covey, 1, shapes).unwrap());
    let frequencies = error(Schema::with_dct(Profile::Covey, 1, shapes).unwrap());
    assert!(elements > 0.9 && frequencies < 1e-4, "{elements} {frequencies}");
}

#[test]
fn delta_and_error_feedback_sum_to_the_pseudo_gradient() {
    for profile in PROFILES {
        let schema = schema(profile);
        let mut compressor = Compressor::new(Arc::clone(&schema), 0.95);
        let gradients = gradients(&schema, 1);
        let delta = compress(&mut compressor, &gradients);
        for ((tensor, error), gradient) in delta.tensors().zip(compressor.errors()).zip(&gradients)
        {
            let mut kept = error.clone();
            if let Some(transform) = tensor.spec.transform() {
                transform.inverse(&mut kept);
            }
            let whole: Vec<f32> =
                tensor.dense().iter().zip(kept).map(|(sent, kept)| sent + kept).collect();
            assert_close(&whole, gradient);
        }
    }
}

#[test]
fn vectors_are_not_transformed() {
    for profile in PROFILES {
        let with = schema(profile);
        let without = Arc::new(Schema::new(profile, 64, SHAPES).unwrap());
        let vector = with.position("norm").unwrap();
        let errors = [with, without].map(|schema| {
            let mut compressor = Compressor::new(Arc::clone(&schema), 0.95);
            let delta = compress(&mut compressor, &gradients(&schema, 2));
            (
                delta.tensor(vector).entries.to_vec(),
                delta.levels()[vector],
                compressor.errors()[vector].clone(),
            )
        });
        assert_eq!(errors[0], errors[1]);
    }
}

#[test]
fn the_mean_of_frequencies_is_the_mean_of_deltas() {
    for profile in PROFILES {
        let schema = schema(profile);
        let new = || Compressor::new(Arc::clone(&schema), 0.95);
        let round: BTreeMap<u64, Delta> =
            (0..3).map(|peer| (peer, compress(&mut new(), &gradients(&schema, peer)))).collect();
        let step = aggregate(&round, MeanOver::Peers, Clip::Off).unwrap();
        for (index, got) in step.tensors.iter().enumerate() {
            let mut mean = vec![0.0; got.len()];
            for delta in round.values() {
                mean.iter_mut()
                    .zip(delta.tensor(index).dense())
                    .for_each(|(sum, value)| *sum += value / 3.0);
            }
            assert_close(got, &mean);
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run_rounds = |profile| {
        let schema = schema(profile);
        let mut compressor = Compressor::new(Arc::clone(&schema), 0.95);
        let mut weights = gradients(&schema, 9);
        for round in 0..3 {
            let sent = BTreeMap::from([(0, compress(&mut compressor, &gradients(&schema, round)))]);
            let step = aggregate(&sent, MeanOver::Senders, Clip::MedianNorm).unwrap();
            let mut slices: Vec<&mut [f32]> = weights.iter_mut().map(Vec::as_mut_slice).collect();
            assert!(outer_step(&schema, &mut slices, &step, 0.7).unwrap().is_empty());
        }
        let numbers = weights.iter().chain(compressor.errors()).flatten();
        numbers.map(|value| value.to_bits()).collect::<Vec<u32>>()
    };
    for profile in PROFILES {
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
fn payloads_of_frequencies_are_rejected_as_elements() {
    for profile in PROFILES {
        let codec = Codec::new(schema(profile));
        let delta = compress(
            &mut Compressor::new(Arc::clone(codec.schema()), 0.95),
            &gradients(codec.schema(), 3),
        );
        let bytes = codec.encode(&delta).unwrap();
        assert_eq!(codec.decode(&bytes).unwrap(), delta);
        let other = Codec::new(Arc::new(Schema::new(profile, 64, SHAPES).unwrap()));
        assert!(matches!(other.decode(&bytes), Err(DecodeError::Schema { .. })));
    }
}
