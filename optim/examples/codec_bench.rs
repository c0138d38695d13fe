//! Size and speed of compression and aggregation on real pseudo-gradients, on one core: a table on
//! stdout, and the same as one line of JSON at the end.
//!
//! The input is a safetensors file with tensors `roundNNN/NAME`, fp32: the pseudo-gradients of one
//! peer in consecutive rounds. MB are of fp32 parameters. The speed of aggregation counts the
//! parameters once, not once per peer.
//!
//! ```text
//! cargo run --release --package covey-optim --no-default-features --example codec_bench \
//!     -- FILE [PASSES]
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use covey_optim::codec::{Codec, Statistics};
use covey_optim::sparseloco::{Clip, Compressor, Delta, MeanOver, Profile, Schema, aggregate};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// Any error that ends the program.
type Failure = Box<dyn Error + Send + Sync>;

/// Values sent per chunk of 4096.
const K: usize = 64;

/// Number of deltas that are averaged. Deltas of other rounds are used as those of other peers.
const PEERS: usize = 20;

/// Bits of a position and a code of fixed width.
const FIXED_BITS: f64 = 14.0;

/// Information content of 64 evenly drawn positions out of 4096, per position, and two bits of a
/// code.
const BOUND_BITS: f64 = 7.364 + 2.0;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the safetensors file of pseudo-gradients is missing")?;
    let passes = arguments.next().map_or(Ok(5), |passes| passes.parse())?;
    let rounds = Rounds::read(&std::fs::read(path)?)?;
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let profiles = [Profile::Covey, Profile::Reference];
    let reports: Result<Vec<Value>, Failure> = single
        .install(|| profiles.into_iter().map(|profile| report(&rounds, profile, passes)).collect());
    print_line(
        &json!({ "fixed_bits": FIXED_BITS, "bound_bits": BOUND_BITS, "profiles": reports? }),
    );
    Ok(())
}

/// Pseudo-gradients by round; tensors are sorted by name.
struct Rounds {
    shapes: BTreeMap<String, Vec<usize>>,
    tensors: BTreeMap<String, Vec<Vec<f32>>>,
}

impl Rounds {
    fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let file = SafeTensors::deserialize(bytes)?;
        let mut rounds = Self { shapes: BTreeMap::new(), tensors: BTreeMap::new() };
        let mut views = file.tensors();
        views.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, view) in views {
            let (round, name) = key
                .split_once('/')
                .ok_or_else(|| format!("key {key} is not of the form round/name"))?;
            let values =
                view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            rounds.shapes.insert(name.to_owned(), view.shape().to_vec());
            rounds.tensors.entry(round.to_owned()).or_default().push(values);
        }
        if rounds.tensors.is_empty() { Err("no rounds in the file".into()) } else { Ok(rounds) }
    }

    fn schema(&self, profile: Profile) -> Result<Arc<Schema>, Failure> {
        let shapes = self.shapes.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()));
        Ok(Arc::new(Schema::new(profile, K, shapes)?))
    }
}

/// Times of one profile, and its bits by purpose.
#[derive(Default)]
struct Measured {
    compress: Vec<Duration>,
    encode: Vec<Duration>,
    aggregate: Vec<Duration>,
    entries: f64,
    position_bits: f64,
    code_bits: f64,
    overhead_bits: f64,
}

impl Measured {
    fn add(&mut self, statistics: Statistics) {
        self.entries += statistics.entries as f64;
        self.position_bits += statistics.position_bits;
        self.code_bits += statistics.code_bits;
        self.overhead_bits += statistics.overhead_bits;
    }
}

fn report(rounds: &Rounds, profile: Profile, passes: usize) -> Result<Value, Failure> {
    let codec = Codec::new(rounds.schema(profile)?);
    let mut measured = Measured::default();
    for pass in 0..passes {
        let payloads = compress(rounds, &codec, &mut measured)?;
        if pass == 0 {
            for payload in &payloads {
                measured.add(codec.statistics(&codec.decode(payload)?)?);
            }
        }
        average(&codec, &payloads, &mut measured)?;
    }
    Ok(describe(codec.schema(), rounds.tensors.len(), &measured))
}

/// Compresses all rounds of one peer, starting without error feedback.
fn compress(
    rounds: &Rounds,
    codec: &Codec,
    measured: &mut Measured,
) -> Result<Vec<Vec<u8>>, Failure> {
    let mut compressor = Compressor::new(Arc::clone(codec.schema()), 0.95);
    let mut payloads = Vec::new();
    for tensors in rounds.tensors.values() {
        let slices: Vec<&[f32]> = tensors.iter().map(Vec::as_slice).collect();
        let start = Instant::now();
        let delta = compressor.compress(&slices)?;
        let compressed = start.elapsed();
        payloads.push(codec.encode(&delta)?);
        measured.compress.push(start.elapsed());
        measured.encode.push(start.elapsed() - compressed);
    }
    Ok(payloads)
}

/// Averages the deltas of the last rounds as if they were of many peers. They are repeated if there
/// are too few.
fn average(codec: &Codec, payloads: &[Vec<u8>], measured: &mut Measured) -> Result<(), Failure> {
    let peers: Vec<&Vec<u8>> = payloads.iter().rev().cycle().take(PEERS).collect();
    for _ in 0..5 {
        let start = Instant::now();
        let mut deltas: BTreeMap<usize, Delta> = BTreeMap::new();
        for (peer, payload) in peers.iter().enumerate() {
            deltas.insert(peer, codec.decode(payload)?);
        }
        black_box(aggregate(&deltas, MeanOver::Senders, Clip::MedianNorm)?);
        measured.aggregate.push(start.elapsed());
    }
    Ok(())
}

fn describe(schema: &Schema, num_rounds: usize, measured: &Measured) -> Value {
    let megabytes = 4e-6 * schema.num_elements() as f64;
    // The fastest round: other processes can only add time.
    let fastest = |times: &[Duration]| times.iter().min().copied().unwrap_or_default();
    let speed = |times: &[Duration]| megabytes / fastest(times).as_secs_f64();
    let bits = measured.position_bits + measured.code_bits + measured.overhead_bits;
    let report = json!({
        "profile": schema.profile().name(),
        "megabytes": megabytes,
        "rounds": num_rounds,
        "values": schema.num_entries(),
        "position_bits": measured.position_bits / measured.entries,
        "code_bits": measured.code_bits / measured.entries,
        "overhead_bits": measured.overhead_bits / measured.entries,
        "bits": bits / measured.entries,
        "compression": 32.0 * (schema.num_elements() * num_rounds) as f64 / bits,
        "compress_mb_per_second": speed(&measured.compress),
        "encode_mb_per_second": speed(&measured.encode),
        "aggregate_mb_per_second": speed(&measured.aggregate),
    });
    print_line(&serde_json::to_string_pretty(&report).unwrap_or_default());
    report
}

#[expect(clippy::print_stdout, reason = "the report is what this program is for")]
fn print_line(line: &impl std::fmt::Display) {
    println!("{line}");
}
