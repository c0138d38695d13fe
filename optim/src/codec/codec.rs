//! A whole delta as bytes and back: header, one record per tensor, one line per segment, segments.

use std::sync::Arc;

use rayon::prelude::*;

use super::byte_reader::ByteReader;
use super::code_model::{CODE_SCALE, CodeModel};
use super::error::DecodeError;
use super::gap_model::{GAP_SCALE, GapModels, NUM_CLASSES, class_range};
use super::rans;
use super::record::{Record, record_bytes};
use super::segment::{Coded, Counts, STATE_BYTES, Segment, SegmentError, SegmentModel, segments};
use crate::sparseloco::{CodedValue, Delta, Profile, Schema, SparseLocoError, TensorSpec};

/// First bytes of every payload.
const MAGIC: [u8; 4] = *b"CVYD";

/// The format that is written and read.
const VERSION: u8 = 1;

/// Mark, version, profile, digest of the schema, number of tensors.
const HEADER_BYTES: usize = 4 + 1 + 1 + 8 + 4;

/// Number of words and of bytes of bits of a segment.
const LINE_BYTES: usize = 8;

/// Writes and reads the deltas of one schema.
///
/// Everything that does not depend on a payload is worked out once, here: how entries are cut into segments, and tables
/// of probabilities.
///
/// - There is one encoding: `decode(encode(delta)) == delta`, and `encode(decode(bytes)) == bytes` for all bytes that
///   are not refused.
/// - Nothing in a payload is trusted: numbers of entries follow from the schema, lengths are held against the bytes
///   that are there before anything is allocated, and decoding never takes more memory than one delta and a copy of the
///   payload.
#[derive(Debug)]
pub struct Codec {
    schema: Arc<Schema>,
    segments: Vec<Segment>,
    gap_models: Vec<Arc<GapModels>>,
}

/// Where the bits of a payload go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Values sent.
    pub entries: usize,
    /// Bits that say where values are.
    pub position_bits: f64,
    /// Bits that say which of its levels a value is.
    pub code_bits: f64,
    /// All other bits: header, models, levels, lengths, states, rounding.
    pub overhead_bits: f64,
}

/// Sums of [`Counts`] over a tensor.
#[derive(Clone, Copy)]
struct CountTotals {
    classes: [u64; NUM_CLASSES],
    codes: [u64; 4],
}

impl Codec {
    /// The codec of a schema.
    pub fn new(schema: Arc<Schema>) -> Self {
        let mut known: Vec<((usize, usize), Arc<GapModels>)> = Vec::new();
        let models = |spec: &TensorSpec| {
            let form = (spec.grid().chunk_len(), spec.kept());
            if let Some((_, models)) = known.iter().find(|(known, _)| *known == form) {
                return Arc::clone(models);
            }
            let models = Arc::new(GapModels::new(form.0, form.1));
            known.push((form, Arc::clone(&models)));
            models
        };
        let gap_models = schema.tensors().iter().map(models).collect();
        Self { segments: segments(&schema), gap_models, schema }
    }

    /// The form of every delta.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Most bytes that a delta can take: what to allow before a download.
    pub fn max_len(&self) -> usize {
        // A position takes at most 12 + 9 bits, a code 9; four bytes leave room for what rounding adds.
        let records = self.schema.tensors().len() * record_bytes(self.schema.profile());
        let lines = self.segments.len() * (LINE_BYTES + 2 * STATE_BYTES);
        HEADER_BYTES + records + lines + 4 * self.schema.num_entries()
    }

    /// The bytes of a delta.
    ///
    /// # Errors
    ///
    /// A delta of another schema.
    pub fn encode(&self, delta: &Delta) -> Result<Vec<u8>, SparseLocoError> {
        let records = self.records(delta)?;
        let models: Vec<Vec<SegmentModel<'_>>> =
            self.segments.iter().map(|segment| self.models(segment, &records)).collect();
        let segments = self.segments.par_iter().zip(&models);
        let coded: Vec<Coded> =
            segments.map(|(segment, models)| segment.encode(delta.entries(), models)).collect();
        let mut bytes = self.header();
        records.iter().for_each(|record| record.write(self.schema.profile(), &mut bytes));
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

    /// The delta of these bytes.
    ///
    /// # Errors
    ///
    /// Anything but the one encoding of a delta of this schema.
    pub fn decode(&self, bytes: &[u8]) -> Result<Delta, DecodeError> {
        if bytes.len() > self.max_len() {
            return Err(DecodeError::TooLong { limit: self.max_len(), got: bytes.len() });
        }
        let mut rest = ByteReader::new(bytes);
        self.check_header(&mut rest)?;
        let records = self.read_records(&mut rest)?;
        let bodies = self.read_bodies(&mut rest)?;
        rest.check_end()?;
        let mut entries = vec![CodedValue::default(); self.schema.num_entries()];
        let counts = self.decode_segments(&records, &bodies, &mut entries)?;
        self.check_models(&records, &counts)?;
        let levels = records.iter().map(|record| record.levels).collect();
        Ok(Delta::trusted(Arc::clone(&self.schema), entries, levels))
    }

    /// Where the bits of a delta's encoding go.
    ///
    /// # Errors
    ///
    /// A delta of another schema.
    pub fn statistics(&self, delta: &Delta) -> Result<Statistics, SparseLocoError> {
        let total_bits = 8.0 * self.encode(delta)?.len() as f64;
        let (mut position_bits, mut code_bits) = (0.0, 0.0);
        let totals = self.totals(&self.count(delta.entries()));
        for ((totals, record), models) in
            totals.iter().zip(self.records(delta)?).zip(&self.gap_models)
        {
            let gaps = models.get(record.gap_model).expect("the number comes from these models");
            for (class, count) in totals.classes.iter().enumerate().filter(|(_, count)| **count > 0)
            {
                let bits = f64::from(class_range(class as u32).1);
                position_bits +=
                    *count as f64 * (bits + information(gaps.range(class).1, GAP_SCALE));
            }
            for (code, count) in totals.codes.iter().enumerate() {
                code_bits += *count as f64 * information(record.codes.range(code).1, CODE_SCALE);
            }
        }
        let overhead_bits = total_bits - position_bits - code_bits;
        Ok(Statistics { entries: delta.entries().len(), position_bits, code_bits, overhead_bits })
    }

    /// What the encoder says of each tensor.
    fn records(&self, delta: &Delta) -> Result<Vec<Record>, SparseLocoError> {
        if delta.schema() != &self.schema {
            return Err(SparseLocoError::OtherSchema);
        }
        let totals = self.totals(&self.count(delta.entries()));
        let tensors = totals.iter().zip(&self.gap_models).zip(delta.levels());
        let record =
            |((totals, models), levels): ((&CountTotals, &Arc<GapModels>), &[f32; 4])| Record {
                gap_model: models.choose(&totals.classes),
                codes: CodeModel::choose(self.schema.profile(), totals.codes),
                levels: *levels,
            };
        Ok(tensors.map(record).collect())
    }

    /// Counts of each part of each segment.
    fn count(&self, entries: &[CodedValue]) -> Vec<Vec<Counts>> {
        let count = |segment: &Segment| {
            segment.parts.iter().map(|part| part.count(part.of(entries))).collect()
        };
        self.segments.par_iter().map(count).collect()
    }

    /// Counts of each tensor.
    fn totals(&self, counts: &[Vec<Counts>]) -> Vec<CountTotals> {
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
        let model = |tensor: usize| {
            let gaps = self.gap_models[tensor].get(records[tensor].gap_model);
            SegmentModel {
                gaps: gaps.expect("numbers were chosen or checked"),
                codes: records[tensor].codes,
            }
        };
        segment.parts.iter().map(|part| model(part.tensor)).collect()
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
        let mut read = |spec: &TensorSpec| {
            Record::read(profile, rest.take(record_bytes(profile), "records")?, spec)
        };
        self.schema.tensors().iter().map(&mut read).collect()
    }

    /// States, words and bits of each segment.
    fn read_bodies<'a>(&self, rest: &mut ByteReader<'a>) -> Result<Vec<Body<'a>>, DecodeError> {
        let mut lines =
            ByteReader::new(rest.take(LINE_BYTES * self.segments.len(), "segment lengths")?);
        let mut body = |_| {
            let (words, bits) =
                (lines.number("segment lengths")?, lines.number("segment lengths")?);
            let states = rest.take(STATE_BYTES, "a segment")?;
            let words = rest.take((words as usize).saturating_mul(2), "a segment")?;
            Ok(Body { states, words, bits: rest.take(bits as usize, "a segment")? })
        };
        self.segments.iter().map(&mut body).collect()
    }

    fn decode_segments(
        &self,
        records: &[Record],
        bodies: &[Body<'_>],
        entries: &mut [CodedValue],
    ) -> Result<Vec<Vec<Counts>>, DecodeError> {
        let work: Vec<_> =
            self.split(entries).into_iter().zip(self.segments.iter().zip(bodies)).collect();
        let decode = |(entries, (segment, body)): (&mut [CodedValue], (&Segment, &Body<'_>))| {
            let words: Vec<u16> =
                body.words.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
            segment.decode(
                &self.schema,
                &self.models(segment, records),
                (body.states(), &words, body.bits),
                entries,
            )
        };
        // The first error in order is reported, not the first in time.
        let decoded: Vec<Result<Vec<Counts>, SegmentError>> =
            work.into_par_iter().map(decode).collect();
        let named = decoded
            .into_iter()
            .enumerate()
            .map(|(segment, counts)| counts.map_err(|e| self.name(segment, e)));
        named.collect()
    }

    /// One mutable slice of entries per segment.
    fn split<'a>(&self, mut entries: &'a mut [CodedValue]) -> Vec<&'a mut [CodedValue]> {
        let mut next = |segment: &Segment| {
            let (part, rest) = std::mem::take(&mut entries).split_at_mut(segment.num_entries());
            entries = rest;
            part
        };
        self.segments.iter().map(&mut next).collect()
    }

    fn name(&self, segment: usize, error: SegmentError) -> DecodeError {
        match error {
            SegmentError::End(what) => DecodeError::Segment { segment, what },
            SegmentError::Position(tensor, chunk) => DecodeError::Position {
                tensor: self.schema.tensors()[tensor].name().to_owned(),
                chunk,
            },
        }
    }

    /// The models must be those that the encoder chooses for what they decoded: otherwise there were many encodings.
    fn check_models(&self, records: &[Record], counts: &[Vec<Counts>]) -> Result<(), DecodeError> {
        let profile = self.schema.profile();
        let tensors = self
            .totals(counts)
            .into_iter()
            .zip(&self.gap_models)
            .zip(records)
            .zip(self.schema.tensors());
        for (((totals, models), record), spec) in tensors {
            let not_canonical =
                |what| Err(DecodeError::NotCanonical { what, tensor: spec.name().to_owned() });
            if record.codes != CodeModel::choose(profile, totals.codes) {
                return not_canonical("code model");
            }
            if record.gap_model != models.choose(&totals.classes) {
                return not_canonical("gap model");
            }
        }
        Ok(())
    }
}

fn profile_byte(profile: Profile) -> u8 {
    match profile {
        Profile::Reference => 0,
        Profile::Covey => 1,
    }
}

/// Bits that a symbol of this probability takes.
fn information(frequency: u32, scale: u32) -> f64 {
    rans::cost(frequency, scale) as f64 / 65536.0
}

fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// The bytes of one segment.
struct Body<'a> {
    states: &'a [u8],
    words: &'a [u8],
    bits: &'a [u8],
}

impl Body<'_> {
    fn states(&self) -> [u32; 4] {
        let mut states = [0; 4];
        let bytes = self.states.as_chunks().0;
        states.iter_mut().zip(bytes).for_each(|(state, bytes)| *state = u32::from_le_bytes(*bytes));
        states
    }
}
