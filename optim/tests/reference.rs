//! The `reference` profile compared with numbers of the published compressor.
//!
//! A file contains rounds of several peers, with keys `<what>.<round>.<peer>.<tensor>`; its
//! metadata contains the settings. If `COVEY_REFERENCE` names a directory, the files
//! `sparseloco/*.safetensors` in it are checked in addition to the file of the repository.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use covey_optim::codec::Codec;
use covey_optim::sparseloco::{
    Clip, Compressor, Delta, MeanOver, Profile, ReferenceFit, Schema, aggregate, outer_step,
};
use safetensors::{SafeTensors, tensor::Metadata};

/// The largest difference of an element, relative to the largest magnitude of the expected tensor.
const TOLERANCE: f64 = 1e-6;

/// An opened file.
struct Reference<'a> {
    tensors: SafeTensors<'a>,
    settings: HashMap<String, String>,
    schema: Arc<Schema>,
}

impl<'a> Reference<'a> {
    fn open(bytes: &'a [u8]) -> Self {
        let (_, metadata): (usize, Metadata) = SafeTensors::read_metadata(bytes).unwrap();
        let settings = metadata.metadata().clone().unwrap_or_default();
        let tensors = SafeTensors::deserialize(bytes).unwrap();
        let shapes: BTreeMap<String, Vec<usize>> = tensors
            .iter()
            .filter_map(|(key, view)| {
                Some((key.strip_prefix("theta.0.")?.to_owned(), view.shape().to_vec()))
            })
            .collect();
        let k = settings["k"].parse().unwrap();
        let shapes = shapes.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()));
        let schema = Arc::new(Schema::new(Profile::Reference, k, shapes).unwrap());
        Self { tensors, settings, schema }
    }

    fn setting<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, key: &str) -> T {
        self.settings[key].parse().unwrap()
    }

    fn mean_over(&self) -> MeanOver {
        match self.settings["mean_over"].as_str() {
            "senders" => MeanOver::Senders,
            "peers" => MeanOver::Peers,
            other => panic!("unknown mean_over {other}"),
        }
    }

    fn numbers(&self, key: &str) -> Vec<f32> {
        let bytes = self.tensors.tensor(key).unwrap().data();
        bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    fn integers(&self, key: &str) -> Vec<i32> {
        let bytes = self.tensors.tensor(key).unwrap().data();
        bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
    }

    /// All tensors with a prefix, in the order of the schema.
    fn all(&self, prefix: &str) -> Vec<Vec<f32>> {
        self.schema
            .tensors()
            .iter()
            .map(|spec| self.numbers(&format!("{prefix}.{}", spec.name())))
            .collect()
    }

    fn peers(&self, round: usize) -> BTreeSet<usize> {
        let prefix = format!("delta.{round}.");
        let names = self.tensors.names();
        names
            .iter()
            .filter_map(|key| key.strip_prefix(&prefix)?.split('.').next()?.parse().ok())
            .collect()
    }
}

fn assert_close(got: &[f32], expected: &[f32], key: &str) {
    assert_close_relative_to(got, expected, expected, key);
}

/// As [`assert_close`], but relative to `whole`, the tensor of which both are small remainders.
fn assert_close_relative_to(got: &[f32], expected: &[f32], whole: &[f32], key: &str) {
    assert_eq!(got.len(), expected.len(), "{key}");
    let size = whole.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
    let far = got
        .iter()
        .zip(expected)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
        .fold(0.0, f64::max);
    assert!(far <= TOLERANCE * f64::from(size), "{key}: off by {far}, largest magnitude {size}");
}

/// The error feedback before the delta is subtracted: `decay * error + delta`, as the compressor
/// computes it.
fn accumulated(compressor: &Compressor, deltas: &[Vec<f32>], decay: f32) -> Vec<Vec<f32>> {
    let tensors = compressor.errors().iter().zip(deltas);
    tensors
        .map(|(error, delta)| error.iter().zip(delta).map(|(e, d)| e * decay + d).collect())
        .collect()
}

fn check_peer(
    reference: &Reference<'_>,
    at: &str,
    accumulated: &[Vec<f32>],
    delta: &Delta,
    compressor: &Compressor,
) {
    for (index, spec) in reference.schema.tensors().iter().enumerate() {
        let key = |what: &str| format!("{what}.{at}.{}", spec.name());
        let tensor = delta.tensor(index);
        let positions: Vec<i32> =
            tensor.entries.iter().map(|entry| entry.position() as i32).collect();
        assert_eq!(positions, reference.integers(&key("index")), "{}", key("index"));
        let codes: Vec<u8> = tensor.entries.iter().map(|entry| entry.code() as u8).collect();
        assert_eq!(
            codes,
            reference.tensors.tensor(&key("code")).unwrap().data(),
            "{}",
            key("code")
        );
        let chunks = tensor.chunks().enumerate();
        let places = chunks.flat_map(|(chunk, entries)| {
            entries.iter().map(move |entry| (chunk, entry.position()))
        });
        let values: Vec<f32> = places
            .map(|(chunk, position)| accumulated[index][spec.grid().index(chunk, position)])
            .collect();
        let fit = ReferenceFit::new(&values);
        let [mean, scale] = reference.numbers(&key("quant")).try_into().unwrap();
        let table = reference.numbers(&key("table"));
        // A mean near zero is a difference of large numbers, so the tolerance is relative to the
        // scale.
        assert!((fit.mean - mean).abs() <= 1e-6 * scale, "{}: {} {mean}", key("quant"), fit.mean);
        assert!(
            (fit.scale - scale).abs() <= 1e-6 * scale,
            "{}: {} {scale}",
            key("quant"),
            fit.scale
        );
        assert_close(&tensor.levels.map(|level| level - fit.mean), &table, &key("table"));
        assert_close(&tensor.dense(), &reference.numbers(&key("decoded")), &key("decoded"));
        let error = reference.numbers(&key("error"));
        assert_close_relative_to(
            &compressor.errors()[index],
            &error,
            &accumulated[index],
            &key("error"),
        );
    }
}

/// Checks a file; returns the numbers of rounds, peers and tensors.
fn check(path: &Path) -> (usize, usize, usize) {
    let bytes = std::fs::read(path).unwrap();
    let reference = Reference::open(&bytes);
    let (decay, rate): (f32, f64) = (reference.setting("beta"), reference.setting("outer_lr"));
    let rounds: usize = reference.setting("rounds");
    let codec = Codec::new(Arc::clone(&reference.schema));
    let mut compressors = BTreeMap::new();
    let mut theta = reference.all("theta.0");
    for round in 0..rounds {
        let mut sent = BTreeMap::new();
        for peer in reference.peers(round) {
            let at = format!("{round}.{peer}");
            let compressor = compressors
                .entry(peer)
                .or_insert_with(|| Compressor::new(Arc::clone(&reference.schema), decay));
            let steps = reference.all(&format!("delta.{at}"));
            let before = accumulated(compressor, &steps, decay);
            let slices: Vec<&[f32]> = steps.iter().map(Vec::as_slice).collect();
            let delta = compressor.compress(&slices).unwrap();
            check_peer(&reference, &at, &before, &delta, compressor);
            let received = codec.decode(&codec.encode(&delta).unwrap()).unwrap();
            assert_eq!(received, delta);
            sent.insert(peer, received);
        }
        let step = aggregate(&sent, reference.mean_over(), Clip::MedianNorm).unwrap();
        let mut weights: Vec<&mut [f32]> = theta.iter_mut().map(Vec::as_mut_slice).collect();
        assert!(outer_step(&reference.schema, &mut weights, &step, rate).unwrap().is_empty());
        let after = [("aggregate", round, &step.tensors), ("theta", round + 1, &theta)];
        for (what, round, tensors) in after {
            let expected = reference.all(&format!("{what}.{round}"));
            let named = tensors.iter().zip(&expected).zip(reference.schema.tensors());
            named.for_each(|((got, expected), spec)| {
                assert_close(got, expected, &format!("{what}.{round}.{}", spec.name()))
            });
        }
    }
    (rounds, compressors.len(), reference.schema.tensors().len())
}

fn paths() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sparseloco.safetensors");
    let mut paths = vec![own];
    if let Some(folder) = std::env::var_os("COVEY_REFERENCE") {
        let entries = std::fs::read_dir(Path::new(&folder).join("sparseloco")).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        let mut others: Vec<PathBuf> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
            .collect();
        others.sort();
        paths.extend(others);
    }
    paths
}

#[test]
fn published_numbers_are_reproduced() {
    for path in paths() {
        let (rounds, peers, tensors) = check(&path);
        assert!(
            rounds > 0 && peers > 0 && tensors > 0,
            "{} holds nothing to check",
            path.display()
        );
        let mut stdout = std::io::stdout().lock();
        writeln!(
            stdout,
            "checked {}: {rounds} rounds, {peers} peers, {tensors} tensors",
            path.display()
        )
        .unwrap();
    }
}
