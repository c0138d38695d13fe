//! Laws of the wire format: one encoding, nothing trusted.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod synthetic;

use std::sync::Arc;

use covey_optim::codec::{Codec, DecodeError};
use covey_optim::sparseloco::{CodedValue, Compressor, Delta, Profile, Schema};
use proptest::prelude::*;
use synthetic::{Noise, heavy_tailed};

/// Matrices that divide by 64 and do not, vectors with and without a shorter last chunk, chunks sent whole.
const SHAPES: [(&str, &[usize]); 6] = [
    ("bias", &[4100]),
    ("embed", &[256, 64]),
    ("norm", &[96]),
    ("odd", &[100, 36]),
    ("one", &[1]),
    ("prime", &[67, 5]),
];

fn schema(profile: Profile) -> Arc<Schema> {
    Arc::new(Schema::new(profile, 64, SHAPES).unwrap())
}

fn delta(schema: &Arc<Schema>, seed: u64) -> Delta {
    let tensors: Vec<Vec<f32>> = (seed..)
        .zip(schema.tensors())
        .map(|(seed, spec)| {
            heavy_tailed(seed, spec.grid().len(), spec.shape()[spec.shape().len() - 1])
        })
        .collect();
    let slices: Vec<&[f32]> = tensors.iter().map(Vec::as_slice).collect();
    Compressor::new(Arc::clone(schema), 0.95).compress(&slices).unwrap()
}

/// A number below `limit`.
fn below(noise: &mut Noise, limit: usize) -> usize {
    (noise.next() % limit as u64) as usize
}

/// Any delta that the type allows, however unlikely.
fn arbitrary(schema: &Arc<Schema>, seed: u64) -> Delta {
    let mut noise = Noise::new(seed);
    let mut entries = Vec::new();
    for spec in schema.tensors() {
        for chunk in 0..spec.grid().num_chunks() {
            let last = chunk + 1 == spec.grid().num_chunks();
            let (length, kept) = match last {
                true => (spec.grid().last_chunk_len(), spec.kept_last()),
                false => (spec.grid().chunk_len(), spec.kept()),
            };
            // A stretch somewhere in the chunk, from dense to all of it.
            let stretch = kept + below(&mut noise, length - kept + 1);
            let start = below(&mut noise, length - stretch + 1);
            let mut positions: Vec<usize> = (start..start + stretch).collect();
            while positions.len() > kept {
                positions.swap_remove(below(&mut noise, positions.len()));
            }
            positions.sort_unstable();
            let bias = below(&mut noise, 4) as u8;
            entries.extend(
                positions
                    .into_iter()
                    .map(|at| CodedValue::new(at, bias.max(below(&mut noise, 4) as u8))),
            );
        }
    }
    let levels = schema.tensors().iter().map(|_| [0.25, 0.5, -0.25, -0.5]).collect();
    Delta::new(Arc::clone(schema), entries, levels).unwrap()
}

#[test]
fn compressed_steps_come_back() {
    for profile in [Profile::Reference, Profile::Covey] {
        let codec = Codec::new(schema(profile));
        let delta = delta(codec.schema(), 1);
        let bytes = codec.encode(&delta).unwrap();
        assert!(bytes.len() <= codec.max_len());
        assert_eq!(codec.decode(&bytes).unwrap(), delta);
    }
}

#[test]
fn segments_split_large_tensors_invisibly() {
    let schema = Arc::new(
        Schema::new(Profile::Covey, 64, [("a", &[10][..]), ("b", &[1600, 2048])]).unwrap(),
    );
    let codec = Codec::new(Arc::clone(&schema));
    let delta = delta(&schema, 3);
    assert!(delta.entries().len() > 32 * 1024);
    let bytes = codec.encode(&delta).unwrap();
    assert_eq!(codec.decode(&bytes).unwrap(), delta);
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(single.install(|| codec.encode(&delta).unwrap()), bytes);
}

/// Damaged bytes are refused, or are the one encoding of another delta.
fn refused_or_canonical(codec: &Codec, bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(delta) = codec.decode(bytes) {
        prop_assert_eq!(codec.encode(&delta).unwrap(), bytes);
        let (schema, entries) = (Arc::clone(delta.schema()), delta.entries().to_vec());
        prop_assert_eq!(Delta::new(schema, entries, delta.levels().to_vec()), Ok(delta));
    }
    Ok(())
}

#[test]
fn every_single_bit_flip_is_refused_or_another_canonical_payload() {
    for profile in [Profile::Reference, Profile::Covey] {
        let codec = Codec::new(schema(profile));
        let mut bytes = codec.encode(&delta(codec.schema(), 7)).unwrap();
        let original = bytes.clone();
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            refused_or_canonical(&codec, &bytes).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(bytes, original);
    }
}

#[test]
fn every_truncation_is_refused() {
    let codec = Codec::new(schema(Profile::Covey));
    let bytes = codec.encode(&delta(codec.schema(), 7)).unwrap();
    for length in 0..bytes.len() {
        assert!(
            matches!(codec.decode(&bytes[..length]), Err(DecodeError::Truncated { .. })),
            "{length}"
        );
    }
}

/// What the decoder says about a payload after `damage`.
fn refusal(damage: impl FnOnce(&mut Vec<u8>)) -> DecodeError {
    let codec = Codec::new(schema(Profile::Covey));
    let mut bytes = codec.encode(&delta(codec.schema(), 7)).unwrap();
    damage(&mut bytes);
    codec.decode(&bytes).unwrap_err()
}

/// Header, then six records of six bytes: gap model, share, small level, large level.
const FIRST_RECORD: usize = 18;
const FIRST_LINE: usize = FIRST_RECORD + 6 * 6;
const FIRST_STATE: usize = FIRST_LINE + 8;

#[test]
fn every_fault_has_its_reason() {
    assert_eq!(refusal(|bytes| bytes[0] = b'X'), DecodeError::Magic);
    assert_eq!(refusal(|bytes| bytes[4] = 2), DecodeError::Version { expected: 1, got: 2 });
    assert_eq!(refusal(|bytes| bytes[5] = 0), DecodeError::Profile { expected: 1, got: 0 });
    assert!(matches!(refusal(|bytes| bytes[6] ^= 1), DecodeError::Schema { .. }));
    assert_eq!(refusal(|bytes| bytes[14] = 5), DecodeError::TensorCount { expected: 6, got: 5 });
    assert!(matches!(
        refusal(|bytes| bytes[FIRST_RECORD] = 16),
        DecodeError::Model { what: "gap model", .. }
    ));
    assert!(matches!(
        refusal(|bytes| bytes[FIRST_RECORD + 1] = 0),
        DecodeError::Model { what: "code model", .. }
    ));
    assert!(matches!(refusal(|bytes| bytes[FIRST_RECORD + 5] = 0x7f), DecodeError::Levels { .. }));
    assert!(matches!(refusal(|bytes| bytes[FIRST_RECORD + 3] |= 0x80), DecodeError::Levels { .. }));
    assert!(matches!(refusal(|bytes| bytes[FIRST_LINE + 3] = 0xff), DecodeError::Truncated { .. }));
    let first = refusal(|bytes| bytes[FIRST_STATE + 2..FIRST_STATE + 4].fill(0));
    assert_eq!(first, DecodeError::Segment { segment: 0, what: "first state" });
    assert_eq!(refusal(|bytes| bytes.push(0)), DecodeError::Trailing { count: 1 });
    let limit = Codec::new(schema(Profile::Covey)).max_len();
    assert_eq!(
        refusal(|bytes| bytes.resize(limit + 1, 0)),
        DecodeError::TooLong { limit, got: limit + 1 }
    );
}

#[test]
fn longest_gaps_run_out_of_the_chunk() {
    let error = refusal(|bytes| bytes[FIRST_STATE..].fill(0xff));
    assert!(matches!(error, DecodeError::Position { chunk: 0, .. }), "{error}");
}

#[test]
fn a_line_that_moves_bytes_from_words_to_bits_is_refused() {
    let error = refusal(|bytes| {
        bytes[FIRST_LINE] -= 1;
        bytes[FIRST_LINE + 4] += 2;
    });
    assert!(
        matches!(error, DecodeError::Segment { segment: 0, .. } | DecodeError::Position { .. }),
        "{error}"
    );
}

#[test]
fn deltas_of_another_schema_are_not_encoded() {
    let codec = Codec::new(schema(Profile::Covey));
    assert!(codec.encode(&delta(&schema(Profile::Reference), 7)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_delta_comes_back(seed in any::<u64>(), reference in any::<bool>()) {
        let codec = Codec::new(schema(if reference { Profile::Reference } else { Profile::Covey }));
        let delta = arbitrary(codec.schema(), seed);
        let bytes = codec.encode(&delta).unwrap();
        prop_assert!(bytes.len() <= codec.max_len());
        prop_assert_eq!(codec.decode(&bytes).unwrap(), delta);
    }

    #[test]
    fn any_bytes_are_refused_or_canonical(tail in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let codec = Codec::new(schema(Profile::Covey));
        let mut bytes = codec.encode(&arbitrary(codec.schema(), 5)).unwrap();
        bytes.truncate(FIRST_LINE);
        bytes.extend(tail);
        refused_or_canonical(&codec, &bytes)?;
    }

    #[test]
    fn swapped_stretches_are_refused_or_canonical(seed in any::<u64>(), at in any::<usize>(), with in any::<u32>()) {
        let codec = Codec::new(schema(Profile::Covey));
        let mut bytes = codec.encode(&arbitrary(codec.schema(), seed)).unwrap();
        let at = FIRST_RECORD + at % (bytes.len() - FIRST_RECORD - 4);
        bytes[at..at + 4].copy_from_slice(&with.to_le_bytes());
        refused_or_canonical(&codec, &bytes)?;
    }
}

/// Two small tensors: 2 of 8 values and 4 of 16, as in `docs/protocol.md`.
fn example(profile: Profile) -> Delta {
    let tensors = [("a", &[8][..]), ("b", &[4, 4][..])];
    let k = if profile == Profile::Covey { 1024 } else { 4 };
    let schema = Arc::new(Schema::new(profile, k, tensors).unwrap());
    let levels = match profile {
        Profile::Covey => vec![[0.5, 2.0, -0.5, -2.0], [0.25, 0.25, -0.25, -0.25]],
        Profile::Reference => vec![[-2.5, -1.0, 0.0, 2.5]; 2],
    };
    let positions = if profile == Profile::Covey {
        vec![1, 6, 0, 3, 4, 15]
    } else {
        vec![0, 1, 5, 7, 0, 3, 4, 15]
    };
    let entries = (0..)
        .zip(positions)
        .map(|(index, position)| CodedValue::new(position, index % 4))
        .collect();
    Delta::new(schema, entries, levels).unwrap()
}

#[test]
fn documented_vectors_hold() {
    let document: String = include_str!("../../docs/protocol.md").split_whitespace().collect();
    for (profile, name) in
        [(Profile::Covey, "delta-covey"), (Profile::Reference, "delta-reference")]
    {
        let delta = example(profile);
        let codec = Codec::new(Arc::clone(delta.schema()));
        let bytes = codec.encode(&delta).unwrap();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(
            document.contains(&format!("<!--vector:{name}-->```{text}```")),
            "{name} is {text}"
        );
        assert_eq!(codec.decode(&bytes).unwrap(), delta);
    }
}
