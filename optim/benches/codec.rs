//! Speed and size of compression, coding and aggregation, on one core: a table on stdout.
//!
//! Values are synthetic: heavy tails and rows of different magnitude, in the shapes of a decoder.
//! MB are of fp32 parameters. The speeds of aggregation count the parameters once, not once per
//! peer.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use covey_optim::codec::Codec;
use covey_optim::sparseloco::{Clip, Compressor, Delta, MeanOver, Profile, Schema, aggregate};

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

const PEERS: usize = 20;

/// A quarter of the matrices of a model of 150 million parameters, and its norms.
const SHAPES: [(&str, &[usize]); 5] = [
    ("down", &[1024, 2688]),
    ("embed", &[4096, 1024]),
    ("norm", &[1024]),
    ("query", &[1024, 1024]),
    ("up", &[2688, 1024]),
];

/// Rounds before the measured one. The error feedback is then as in training.
const ROUNDS: usize = 3;

fn main() {
    let single =
        rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    single.install(|| [Profile::Covey, Profile::Reference].into_iter().for_each(report));
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn report(profile: Profile) {
    let schema = Arc::new(Schema::new(profile, 64, SHAPES).expect("shapes of one or two sides"));
    let codec = Codec::new(Arc::clone(&schema));
    let megabytes = 4e-6 * schema.num_elements() as f64;
    let (mut compressor, gradients) = warmed_up(&schema);
    let slices: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
    let compress = fastest(|| compressor.compress(&slices).expect("gradients are finite"));
    let delta = compressor.compress(&slices).expect("gradients are finite");
    let encode = fastest(|| codec.encode(&delta).expect("one schema"));
    let bytes = codec.encode(&delta).expect("one schema");
    let decode = fastest(|| codec.decode(&bytes).expect("just encoded"));
    let payloads = payloads(&codec, &schema);
    let gather = fastest(|| {
        aggregate(&deltas(&codec, &payloads), MeanOver::Senders, Clip::MedianNorm)
            .expect("one schema")
    });
    let decoded = deltas(&codec, &payloads);
    let average =
        fastest(|| aggregate(&decoded, MeanOver::Senders, Clip::MedianNorm).expect("one schema"));

    println!(
        "{} profile, {megabytes:.1} MB, {} values sent",
        profile.name(),
        delta.entries().len()
    );
    for (name, time) in [
        ("compress", compress),
        ("encode", encode),
        ("decode", decode),
        ("decode and aggregate 20 peers", gather),
        ("aggregate 20 decoded peers", average),
    ] {
        println!("  {name:<34} {:9.0} MB/s per core", megabytes / time.as_secs_f64());
    }
    sizes(&codec, &delta);
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn sizes(codec: &Codec, delta: &Delta) {
    let statistics = codec.statistics(delta).expect("one schema");
    let sent = statistics.entries as f64;
    let total = (statistics.position_bits + statistics.code_bits + statistics.overhead_bits) / sent;
    println!(
        "  bits per value: position           {:9.3} (fixed 12, bound for even chunks 7.364)",
        statistics.position_bits / sent
    );
    println!("                  code               {:9.3} (fixed 2)", statistics.code_bits / sent);
    println!("                  overhead           {:9.3}", statistics.overhead_bits / sent);
    println!("                  together           {total:9.3} (fixed 14, bound 9.364)");
    let ratio = 32.0 * codec.schema().num_elements() as f64 / (total * sent);
    println!("  compression against fp32           {ratio:9.1} (fixed width 146.3, bound 218.7)");
}

/// A compressor after some rounds, and the pseudo-gradient of the next round.
fn warmed_up(schema: &Arc<Schema>) -> (Compressor, Vec<Vec<f32>>) {
    let mut compressor = Compressor::new(Arc::clone(schema), 0.95);
    for round in 0..ROUNDS {
        let gradients = gradients(schema, round as u64);
        let slices: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
        compressor.compress(&slices).expect("gradients are finite");
    }
    (compressor, gradients(schema, ROUNDS as u64))
}

fn gradients(schema: &Schema, seed: u64) -> Vec<Vec<f32>> {
    let columns = |shape: &[usize]| shape.last().copied().unwrap_or(1);
    let tensors = (100 * seed..).zip(schema.tensors());
    tensors
        .map(|(seed, spec)| synthetic::heavy_tailed(seed, spec.grid().len(), columns(spec.shape())))
        .collect()
}

fn payloads(codec: &Codec, schema: &Arc<Schema>) -> BTreeMap<usize, Vec<u8>> {
    let payload = |peer: usize| {
        let gradients = gradients(schema, 1000 + peer as u64);
        let slices: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
        let delta = Compressor::new(Arc::clone(schema), 0.95)
            .compress(&slices)
            .expect("gradients are finite");
        (peer, codec.encode(&delta).expect("one schema"))
    };
    (0..PEERS).map(payload).collect()
}

fn deltas(codec: &Codec, payloads: &BTreeMap<usize, Vec<u8>>) -> BTreeMap<usize, Delta> {
    payloads
        .iter()
        .map(|(peer, bytes)| (*peer, codec.decode(bytes).expect("just encoded")))
        .collect()
}

/// The shortest of several runs: other processes can only add time.
fn fastest<T>(mut work: impl FnMut() -> T) -> Duration {
    let mut time = || {
        let start = Instant::now();
        black_box(work());
        start.elapsed()
    };
    (0..15).map(|_| time()).min().unwrap_or_default()
}
