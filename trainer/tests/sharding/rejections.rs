//! Models that cannot be trained are rejected before memory is allocated.

use crate::fixtures::{config, learner, tiny};

fn rejection(settings: &[(&str, &str)]) -> String {
    // The estimate depends on the number of threads.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    format!("{:#}", pool.install(|| learner(&tiny(), &config(settings))).unwrap_err())
}

#[test]
fn more_devices_than_rows_are_rejected() {
    let expected = "cannot divide the network among 600 devices, only among 1 to 169";
    assert_eq!(rejection(&[("run.device", "cpu:600")]), expected);
}

#[test]
fn a_model_that_does_not_fit_is_rejected_with_the_estimate() {
    let expected = "training needs 108 MB on each device, but 20.0 MB are available (per shard: \
                    weights 5.05 MB, gradients 5.05 MB, moments 10.1 MB, gathered 2.10 MB, \
                    activations 45.2 MB, workspace 40.8 MB)";
    assert_eq!(rejection(&[("memory.limit", "20000000")]), expected);
}
