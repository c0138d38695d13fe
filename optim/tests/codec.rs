//! Laws of the wire format: there is one encoding, and no byte is trusted.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod synthetic;

use std::sync::Arc;

use covey_optim::codec::{Codec, DecodeError};
use covey_optim::sparseloco::{CodedValue, Compressor, Delta, Profile, Schema};
use proptest::prelude::*;
use synthetic::{Noise, heavy_tailed};

/// Matrices with sides that 64 divides and that it does not, vectors with and without a shorter
/// last chunk, chunks that are sent whole.
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

/// Any delta that the type allows, with entries clustered in an interval of each chunk.
fn arbitrary(schema: &Arc<Schema>, seed: u64) -> Delta {
    let mut noise = Noise::new(seed);
    let mut entries = Vec::new();
    for spec in schema.tensors() {
        for chunk in 0..spec.grid().num_chunks() {
            let last = chunk + 1 == spec.grid().num_chunks();
            let (length, kept) = if last {
                (spec.grid().last_chunk_len(), spec.kept_last())
            } else {
                (spec.grid().chunk_len(), spec.kept())
            };
            // An interval in the chunk, from as short as possible to the whole chunk.
            let interval = kept + below(&mut noise, length - kept + 1);
            let start = below(&mut noise, length - interval + 1);
            let mut positions: Vec<usize> = (start..start + interval).collect();
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
fn deltas_are_decoded_as_encoded() {
    for profile in [Profile::Reference, Profile::Covey] {
        let codec = Codec::new(schema(profile));
        let delta = delta(codec.schema(), 1);
        let bytes = codec.encode(&delta).unwrap();
        assert!(bytes.len() <= codec.max_len());
        assert_eq!(codec.decode(&bytes).unwrap(), delta);
    }
}

#[test]
fn large_tensors_are_split_into_segments() {
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

/// Asserts that damaged bytes are rejected, or are the one encoding of another delta.
fn assert_rejected_or_canonical(codec: &Codec, bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(delta) = codec.decode(bytes) {
        prop_assert_eq!(codec.encode(&delta).unwrap(), bytes);
        let (schema, entries) = (Arc::clone(delta.schema()), delta.entries().to_vec());
        prop_assert_eq!(Delta::new(schema, entries, delta.levels().to_vec()), Ok(delta));
    }
    Ok(())
}

#[test]
fn every_bit_flip_is_rejected_or_gives_another_canonical_payload() {
    for profile in [Profile::Reference, Profile::Covey] {
        let codec = Codec::new(schema(profile));
        let mut bytes = codec.encode(&delta(codec.schema(), 7)).unwrap();
        let original = bytes.clone();
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_rejected_or_canonical(&codec, &bytes).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(bytes, original);
    }
}

#[test]
fn every_truncation_is_rejected() {
    let codec = Codec::new(schema(Profile::Covey));
    let bytes = codec.encode(&delta(codec.schema(), 7)).unwrap();
    for length in 0..bytes.len() {
        assert!(
            matches!(codec.decode(&bytes[..length]), Err(DecodeError::Truncated { .. })),
            "{length}"
        );
    }
}

/// The error of the decoder for a payload after `damage`.
fn rejection(damage: impl FnOnce(&mut Vec<u8>)) -> DecodeError {
    let codec = Codec::new(schema(Profile::Covey));
    let mut bytes = codec.encode(&delta(codec.schema(), 7)).unwrap();
    damage(&mut bytes);
    codec.decode(&bytes).unwrap_err()
}

/// A header, then six records of six bytes: gap model, share, small level, large level.
const FIRST_RECORD: usize = 18;
const FIRST_LINE: usize = FIRST_RECORD + 6 * 6;
const FIRST_STATE: usize = FIRST_LINE + 8;

#[test]
fn every_fault_has_its_error() {
    assert_eq!(rejection(|bytes| bytes[0] = b'X'), DecodeError::Magic);
    assert_eq!(rejection(|bytes| bytes[4] = 2), DecodeError::Version { expected: 1, got: 2 });
    assert_eq!(rejection(|bytes| bytes[5] = 0), DecodeError::Profile { expected: 1, got: 0 });
    assert!(matches!(rejection(|bytes| bytes[6] ^= 1), DecodeError::Schema { .. }));
    assert_eq!(rejection(|bytes| bytes[14] = 5), DecodeError::TensorCount { expected: 6, got: 5 });
    assert!(matches!(
        rejection(|bytes| bytes[FIRST_RECORD] = 16),
        DecodeError::Model { what: "gap model", .. }
    ));
    assert!(matches!(
        rejection(|bytes| bytes[FIRST_RECORD + 1] = 0),
        DecodeError::Model { what: "code model", .. }
    ));
    assert!(matches!(
        rejection(|bytes| bytes[FIRST_RECORD + 5] = 0x7f),
        DecodeError::Levels { .. }
    ));
    assert!(matches!(
        rejection(|bytes| bytes[FIRST_RECORD + 3] |= 0x80),
        DecodeError::Levels { .. }
    ));
    assert!(matches!(
        rejection(|bytes| bytes[FIRST_LINE + 3] = 0xff),
        DecodeError::Truncated { .. }
    ));
    let first = rejection(|bytes| bytes[FIRST_STATE + 2..FIRST_STATE + 4].fill(0));
    assert_eq!(first, DecodeError::Segment { segment: 0, what: "first state" });
    assert_eq!(rejection(|bytes| bytes.push(0)), DecodeError::Trailing { count: 1 });
    let limit = Codec::new(schema(Profile::Covey)).max_len();
    assert_eq!(
        rejection(|bytes| bytes.resize(limit + 1, 0)),
        DecodeError::TooLong { limit, got: limit + 1 }
    );
}

#[test]
fn positions_beyond_the_chunk_are_rejected() {
    let error = rejection(|bytes| bytes[FIRST_STATE..].fill(0xff));
    assert!(matches!(error, DecodeError::Position { chunk: 0, .. }), "{error}");
}

#[test]
fn lengths_that_move_bytes_from_words_to_bits_are_rejected() {
    let error = rejection(|bytes| {
        bytes[FIRST_LINE] -= 1;
        bytes[FIRST_LINE + 4] += 2;
    });
    assert!(
        matches!(error, DecodeError::Segment { segment: 0, .. } | DecodeError::Position { .. }),
        "{error}"
    );
}

#[test]
fn deltas_of_another_schema_are_rejected() {
    let codec = Codec::new(schema(Profile::Covey));
    assert!(codec.encode(&delta(&schema(Profile::Reference), 7)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_delta_is_decoded_as_encoded(seed in any::<u64>(), reference in any::<bool>()) {
        let codec = Codec::new(schema(if reference { Profile::Reference } else { Profile::Covey }));
        let delta = arbitrary(codec.schema(), seed);
        let bytes = codec.encode(&delta).unwrap();
        prop_assert!(bytes.len() <= codec.max_len());
        prop_assert_eq!(codec.decode(&bytes).unwrap(), delta);
    }

    #[test]
    fn any_bytes_are_rejected_or_canonical(
        tail in proptest::collection::vec(any::<u8>(), 0..3000),
    ) {
        let codec = Codec::new(schema(Profile::Covey));
        let mut bytes = codec.encode(&arbitrary(codec.schema(), 5)).unwrap();
        bytes.truncate(FIRST_LINE);
        bytes.extend(tail);
        assert_rejected_or_canonical(&codec, &bytes)?;
    }

    #[test]
    fn replaced_bytes_are_rejected_or_canonical(
        seed in any::<u64>(),
        at in any::<usize>(),
        with in any::<u32>(),
    ) {
        let codec = Codec::new(schema(Profile::Covey));
        let mut bytes = codec.encode(&arbitrary(codec.schema(), seed)).unwrap();
        let at = FIRST_RECORD + at % (bytes.len() - FIRST_RECORD - 4);
        bytes[at..at + 4].copy_from_slice(&with.to_le_bytes());
        assert_rejected_or_canonical(&codec, &bytes)?;
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
fn documented_vectors_are_reproduced() {
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
