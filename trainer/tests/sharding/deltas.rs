//! What peers send does not depend on how many devices they have.

use std::sync::Arc;

use covey_optim::codec::Codec;
use covey_optim::sparseloco::{Compressor, Profile, Schema};

use crate::fixtures::{config, learner, tiny};

/// Bytes of the deltas of two rounds, and what is left unsaid.
fn compressed(schema: &Arc<Schema>, device: &str) -> (Vec<Vec<u8>>, Vec<Vec<f32>>) {
    let learner = learner(&tiny(), &config(&[("run.device", device)])).unwrap();
    let mut compressor = Compressor::new(Arc::clone(schema), 0.95);
    let codec = Codec::new(Arc::clone(schema));
    let deltas = (0..2).map(|round| {
        let wave = |index: usize| {
            ((index * (7919 + round)) as f32 * 0.37).sin() / (1.0 + (index % 97) as f32)
        };
        let pseudo_gradient: Vec<Vec<f32>> = schema
            .tensors()
            .iter()
            .map(|spec| (0..spec.grid().len()).map(wave).collect())
            .collect();
        codec.encode(&learner.compress(&mut compressor, &pseudo_gradient).unwrap()).unwrap()
    });
    (deltas.collect(), compressor.errors().to_vec())
}

#[test]
fn deltas_do_not_tell_how_many_devices_made_them() {
    let parameters = tiny().parameters();
    let shapes = || parameters.iter().map(|spec| (spec.name.as_str(), spec.shape.as_slice()));
    for profile in [Profile::Covey, Profile::Reference] {
        let schema = Arc::new(Schema::new(profile, 64, shapes()).unwrap());
        let alone = compressed(&schema, "cpu");
        for device in ["cpu:2", "cpu:3", "cpu:4", "cpu:8"] {
            assert!(compressed(&schema, device) == alone, "{device}, {profile:?}");
        }
    }
}
