//! The conversion between a whole delta and its bytes: header, one record per tensor, lengths of
//! segments, segments.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::byte_reader::ByteReader;
use super::code_model::CodeModel;
use super::error::DecodeError;
use super::gap_model::{GapModels, NUM_CLASSES};
use super::record::{Record, record_bytes};
use super::segment::{
    Counts, EncodedSegment, STATE_BYTES, Segment, SegmentError, SegmentModel, segments,
};
use crate::sparseloco::{CodedValue, Delta, Profile, Schema, SparseLocoError};

/// The first bytes of every payload.
const MAGIC: [u8; 4] = *b"CVYD";

/// The version of the format.
const VERSION: u8 = 1;

/// Magic bytes, version, profile, digest of the schema, number of tensors.
const HEADER_BYTES: usize = 4 + 1 + 1 + 8 + 4;

/// The lengths of a segment: number of words, and number of bytes of bits.
const LINE_BYTES: usize = 8;

/// Encodes and decodes the deltas of one schema.
///
/// Tables that do not depend on a payload are computed once, here: how entries are divided into
/// segments, and the probabilities of all gap models.
///
/// - There is one encoding: `decode(encode(delta)) == delta`, and `encode(decode(bytes)) == bytes`
///   for all bytes that are not rejected.
/// - No number in a payload is trusted: counts of entries follow from the schema, and lengths are
///   checked against the bytes that are present before memory is allocated. Decoding takes at most
///   the memory of one delta and a copy of the payload.
/// - Encoding and decoding use all threads of the current rayon pool; the result does not depend on
///   their number.
#[derive(Debug)]
pub struct Codec {
    schema: Arc<Schema>,
    segments: Vec<Segment>,
    pub(super) gap_models: Vec<Arc<GapModels>>,
}

/// Sums of [`Counts`] over a tensor.
#[derive(Clone, Copy)]
pub(super) struct CountTotals {
    pub(super) classes: [u64; NUM_CLASSES],
    pub(super) codes: [u64; 4],
}

impl Codec {
    /// Creates the codec of a schema.
    pub fn new(schema: Arc<Schema>) -> Self {
        // Most tensors of a model have the same chunks, so they share their tables.
        let mut by_size: BTreeMap<(usize, usize), Arc<GapModels>> = BTreeMap::new();
        let mut gap_models = Vec::with_capacity(schema.tensors().len());
        for spec in schema.tensors() {
            let (length, kept) = (spec.grid().chunk_len(), spec.kept());
            let models = by_size
                .entry((length, kept))
                .or_insert_with(|| Arc::new(GapModels::new(length, kept)));
            gap_models.push(Arc::clone(models));
        }
        Self { segments: segments(&schema), gap_models, schema }
    }

    /// The schema of every delta.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The largest number of bytes that a delta can take: the limit for a download.
    pub fn max_len(&self) -> usize {
        // A position takes at most 12 + 9 bits and a code 9 bits, 30 in total; 4 bytes per entry
        // leave space for rounding.
        let records = self.schema.tensors().len() * record_bytes(self.schema.profile());
        let lines = self.segments.len() * (LINE_BYTES + 2 * STATE_BYTES);
        HEADER_BYTES + records + lines + 4 * self.schema.num_entries()
    }

    /// Encodes a delta.
    ///
    /// # Errors
    ///
    /// [`SparseLocoError::OtherSchema`] if the delta has another schema.
    pub fn encode(&self, delta: &Delta) -> Result<Vec<u8>, SparseLocoError> {
        let records = self.records(delta)?;
        let models: Vec<Vec<SegmentModel<'_>>> =
            self.segments.iter().map(|segment| self.models(segment, &records)).collect();
        let segments = self.segments.par_iter().zip(&models);
        let coded: Vec<EncodedSegment> =
            segments.map(|(segment, models)| segment.encode(delta.entries(), models)).collect();
        let mut bytes = self.header();
        records.iter().for_each(|record| record.write(self.schema.profile(), &mut bytes));
        // All lengths precede all segments, so a reader can check their sum before it decodes one.
        for segment in &coded {
            bytes.extend((segment.words.len() as u32).to_le_bytes());
            bytes.extend((segment.bits.len() as u32).to_le_bytes());
        }
        for segment in &coded {
            bytes.extend(segment.states.iter().flat_map(|state| state.to_le_bytes()));
            bytes.extend(segment.words.iter().flat_map(|word| word.to_le_bytes()));
            bytes.extend_from_slice(&segment.bits);
        }
        Ok(bytes)
    }

    /// Decodes a delta.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] unless the bytes are the one encoding of a delta of this schema.
    pub fn decode(&self, bytes: &[u8]) -> Result<Delta, DecodeError> {
        // Checked first: the work of all later checks is bounded by the length.
        if bytes.len() > self.max_len() {
            return Err(DecodeError::TooLong { limit: self.max_len(), got: bytes.len() });
        }
        let mut rest = ByteReader::new(bytes);
        self.check_header(&mut rest)?;
        let records = self.read_records(&mut rest)?;
        let bodies = self.read_segments(&mut rest)?;
        rest.check_end()?;
        let mut entries = vec![CodedValue::default(); self.schema.num_entries()];
        let counts = self.decode_segments(&records, &bodies, &mut entries)?;
        // Checked last: the counts are known only after decoding.
        self.check_models(&records, &counts)?;
        let levels = records.iter().map(|record| record.levels).collect();
        Ok(Delta::trusted(Arc::clone(&self.schema), entries, levels))
    }

    /// Chooses the models of each tensor.
    pub(super) fn records(&self, delta: &Delta) -> Result<Vec<Record>, SparseLocoError> {
        if delta.schema() != &self.schema {
            return Err(SparseLocoError::OtherSchema);
        }
        let totals = self.totals(&self.count(delta.entries()));
        let tensors = totals.iter().zip(&self.gap_models).zip(delta.levels());
        let records = tensors.map(|((totals, models), levels)| Record {
            gap_model: models.choose(&totals.classes),
            codes: CodeModel::choose(self.schema.profile(), totals.codes),
            levels: *levels,
        });
        Ok(records.collect())
    }

    /// Counts the symbols of each part of each segment.
    pub(super) fn count(&self, entries: &[CodedValue]) -> Vec<Vec<Counts>> {
        self.segments
            .par_iter()
            .map(|segment| segment.parts.iter().map(|part| part.count(part.of(entries))).collect())
            .collect()
    }

    /// Adds up the counts of each tensor.
    pub(super) fn totals(&self, counts: &[Vec<Counts>]) -> Vec<CountTotals> {
        let mut totals =
            vec![CountTotals { classes: [0; NUM_CLASSES], codes: [0; 4] }; self.gap_models.len()];
        let parts = self
            .segments
            .iter()
            .zip(counts)
            .flat_map(|(segment, counts)| segment.parts.iter().zip(counts));
        for (part, counts) in parts {
            let totals = &mut totals[part.tensor];
            totals
                .classes
                .iter_mut()
                .zip(counts.classes)
                .for_each(|(sum, count)| *sum += u64::from(count));
            totals.codes.iter_mut().zip(counts.codes).for_each(|(sum, count)| *sum += count);
        }
        totals
    }

    /// The model of each part of a segment.
    fn models<'a>(&'a self, segment: &Segment, records: &[Record]) -> Vec<SegmentModel<'a>> {
        let models = segment.parts.iter().map(|part| {
            let record = &records[part.tensor];
            let gaps = self.gap_models[part.tensor].get(record.gap_model);
            SegmentModel {
                gaps: gaps.expect("numbers of gap models are chosen or checked before"),
                codes: record.codes,
            }
        });
        models.collect()
    }

    fn header(&self) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.push(VERSION);
        bytes.push(profile_byte(self.schema.profile()));
        bytes.extend(self.schema.digest());
        bytes.extend((self.schema.tensors().len() as u32).to_le_bytes());
        bytes
    }

    fn check_header(&self, rest: &mut ByteReader<'_>) -> Result<(), DecodeError> {
        if rest.array::<4>("header")? != MAGIC {
            return Err(DecodeError::Magic);
        }
        let [version, profile] = rest.array("header")?;
        if version != VERSION {
            return Err(DecodeError::Version { expected: VERSION, got: version });
        }
        let expected = profile_byte(self.schema.profile());
        if profile != expected {
            return Err(DecodeError::Profile { expected, got: profile });
        }
        let digest = rest.array("header")?;
        if digest != self.schema.digest() {
            return Err(DecodeError::Schema {
                expected: hex(self.schema.digest()),
                got: hex(digest),
            });
        }
        let (expected, got) = (self.schema.tensors().len(), u64::from(rest.number("header")?));
        if got != expected as u64 {
            return Err(DecodeError::TensorCount { expected, got });
        }
        Ok(())
    }

    fn read_records(&self, rest: &mut ByteReader<'_>) -> Result<Vec<Record>, DecodeError> {
        let profile = self.schema.profile();
        let records =
            self.schema.tensors().iter().map(|spec| {
                Record::read(profile, rest.take(record_bytes(profile), "records")?, spec)
            });
        records.collect()
    }

    /// Reads states, words and bits of each segment.
    fn read_segments<'a>(
        &self,
        rest: &mut ByteReader<'a>,
    ) -> Result<Vec<SegmentBytes<'a>>, DecodeError> {
        let mut lines =
            ByteReader::new(rest.take(LINE_BYTES * self.segments.len(), "segment lengths")?);
        let mut bodies = Vec::with_capacity(self.segments.len());
        for _ in &self.segments {
            let words = lines.number("segment lengths")?;
            let bits = lines.number("segment lengths")?;
            let states = rest.take(STATE_BYTES, "a segment")?;
            // Saturates on 32-bit machines: the length is then longer than any payload.
            let words = rest.take((words as usize).saturating_mul(2), "a segment")?;
            bodies.push(SegmentBytes {
                states,
                words,
                bits: rest.take(bits as usize, "a segment")?,
            });
        }
        Ok(bodies)
    }

    fn decode_segments(
        &self,
        records: &[Record],
        bodies: &[SegmentBytes<'_>],
        entries: &mut [CodedValue],
    ) -> Result<Vec<Vec<Counts>>, DecodeError> {
        let work: Vec<_> =
            self.split(entries).into_iter().zip(self.segments.iter().zip(bodies)).collect();
        let decoded = work.into_par_iter().map(|(entries, (segment, body))| {
            let models = self.models(segment, records);
            segment.decode(
                &self.schema,
                &models,
                (body.states(), &body.words(), body.bits),
                entries,
            )
        });
        // Collected before errors are looked at: the first error in the order of segments is
        // reported, not the first in time, so all peers report the same one.
        let decoded: Vec<Result<Vec<Counts>, SegmentError>> = decoded.collect();
        let named = decoded
            .into_iter()
            .enumerate()
            .map(|(segment, counts)| counts.map_err(|error| self.name(segment, error)));
        named.collect()
    }

    /// Splits all entries into one mutable slice per segment.
    fn split<'a>(&self, mut entries: &'a mut [CodedValue]) -> Vec<&'a mut [CodedValue]> {
        let parts = self.segments.iter().map(|segment| {
            let (part, rest) = std::mem::take(&mut entries).split_at_mut(segment.num_entries());
            entries = rest;
            part
        });
        parts.collect()
    }

    /// Replaces the places in an error by names.
    fn name(&self, segment: usize, error: SegmentError) -> DecodeError {
        match error {
            SegmentError::End(what) => DecodeError::Segment { segment, what },
            SegmentError::Position(tensor, chunk) => DecodeError::Position {
                tensor: self.schema.tensors()[tensor].name().to_owned(),
                chunk,
            },
        }
    }

    /// Returns an error unless the models are those that the encoder chooses for the decoded
    /// entries. With any other choice a delta would have many encodings.
    fn check_models(&self, records: &[Record], counts: &[Vec<Counts>]) -> Result<(), DecodeError> {
        let tensors = self
            .totals(counts)
            .into_iter()
            .zip(&self.gap_models)
            .zip(records)
            .zip(self.schema.tensors());
        for (((totals, models), record), spec) in tensors {
            let what = if record.codes != CodeModel::choose(self.schema.profile(), totals.codes) {
                "code model"
            } else if record.gap_model != models.choose(&totals.classes) {
                "gap model"
            } else {
                continue;
            };
            return Err(DecodeError::NotCanonical { what, tensor: spec.name().to_owned() });
        }
        Ok(())
    }
}

/// The byte of a profile in the header.
fn profile_byte(profile: Profile) -> u8 {
    match profile {
        Profile::Reference => 0,
        Profile::Covey => 1,
    }
}

fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// The bytes of one segment.
struct SegmentBytes<'a> {
    states: &'a [u8],
    words: &'a [u8],
    bits: &'a [u8],
}

impl SegmentBytes<'_> {
    fn states(&self) -> [u32; 4] {
        let mut states = [0; 4];
        let bytes = self.states.as_chunks().0;
        states.iter_mut().zip(bytes).for_each(|(state, bytes)| *state = u32::from_le_bytes(*bytes));
        states
    }

    fn words(&self) -> Vec<u16> {
        self.words.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect()
    }
}
