//! What cannot be trained is refused before anything is spent.

use crate::fixtures::{config, learner, tiny};

fn rejection(settings: &[(&str, &str)]) -> String {
    // Buffers are counted per thread.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    format!("{:#}", pool.install(|| learner(&tiny(), &config(settings))).unwrap_err())
}

#[test]
fn more_members_than_rows_to_own_are_refused() {
    insta::assert_snapshot!(rejection(&[("run.device", "cpu:600")]), @"600 members given, but the network can be divided among 1 to 169");
}

#[test]
fn what_does_not_fit_is_refused_with_the_plan() {
    insta::assert_snapshot!(rejection(&[("memory.limit", "20000000")]), @r"
    training needs 108 MB on each device, 20.0 MB are there: per member 5.05 MB of weights, 5.05 MB of gradients, 10.1 MB of moments, 2.10 MB gathered, 45.2 MB of activations and 40.8 MB to work with
    ");
}
