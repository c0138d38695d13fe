//! Deltas: their bytes do not depend on the number of devices.

use std::sync::Arc;

use covey_optim::codec::Codec;
use covey_optim::sparseloco::{Compressor, Profile, Schema};

use crate::fixtures::{config, learner, tiny};

/// Bytes of the deltas of two rounds, and the error feedback after them.
fn compressed(schema: &Arc<Schema>, device: &str) -> (Vec<Vec<u8>>, Vec<Vec<f32>>) {
    let learner = learner(&tiny(), &config(&[("run.device", device)])).unwrap();
    let mut compressor = Compressor::new(Arc::clone(schema), 0.95);
    let codec = Codec::new(Arc::clone(schema));
    let deltas = (0..2).map(|round| {
        let pseudo_gradient: Vec<Vec<f32>> = schema
            .tensors()
            .iter()
            .map(|spec| (0..spec.grid().len()).map(|index| wave(index, round)).collect())
            .collect();
        codec.encode(&learner.compress(&mut compressor, &pseudo_gradient).unwrap()).unwrap()
    });
    (deltas.collect(), compressor.errors().to_vec())
}

/// Any function with values of many sizes.
fn wave(index: usize, round: usize) -> f32 {
    ((index * (7919 + round)) as f32 * 0.37).sin() / (1.0 + (index % 97) as f32)
}

#[test]
fn deltas_do_not_depend_on_the_number_of_devices() {
    let parameters = tiny().parameters();
    for profile in [Profile::Covey, Profile::Reference] {
        let shapes = parameters.iter().map(|spec| (spec.name.as_str(), spec.shape.as_slice()));
        let schema = Arc::new(Schema::new(profile, 64, shapes).unwrap());
        let on_one = compressed(&schema, "cpu");
        for device in ["cpu:2", "cpu:3", "cpu:4", "cpu:8"] {
            assert!(compressed(&schema, device) == on_one, "{device}, {profile:?}");
        }
    }
}
