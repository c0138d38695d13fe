//! A segment: a run of entries that is encoded and decoded as one unit, in parallel with other
//! segments.
//!
//! Gaps alternate between two lanes and codes between two others, so four symbols are in progress
//! at once. The bits that select a gap inside its class are stored separately.

use std::ops;

use super::bits::{BitReader, BitWriter};
use super::code_model::{CODE_SCALE, CodeModel};
use super::gap_model::{ClassCounts, GAP_SCALE, GapModel, class, class_range};
use super::rans::{LOWER, SymbolRange, WordReader, WordWriter};
use crate::sparseloco::{CodedValue, Schema, TensorSpec, count_codes};

/// Entries after which a segment ends with its chunk. Part of the wire format: large enough that 24
/// bytes of states and lengths per segment are negligible (0.006 bits per entry), small enough to
/// share a tensor among threads.
const SEGMENT_ENTRIES: usize = 32 * 1024;

/// Bytes of the four states.
pub(crate) const STATE_BYTES: usize = 16;

/// Consecutive chunks of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRun {
    /// Place of the tensor in the schema.
    pub(crate) tensor: usize,
    first_chunk: usize,
    kept: usize,
    /// Place among all entries of the delta.
    entries: ops::Range<usize>,
}

/// Consecutive runs of chunks, of one or several tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) parts: Vec<ChunkRun>,
}

/// The probabilities of one tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentModel<'a> {
    pub(crate) gaps: &'a GapModel,
    pub(crate) codes: CodeModel,
}

/// The number of occurrences of each symbol in one part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) classes: ClassCounts,
    pub(crate) codes: [u64; 4],
}

/// An encoded segment.
#[derive(Debug)]
pub(crate) struct EncodedSegment {
    pub(crate) states: [u32; 4],
    pub(crate) words: Vec<u16>,
    pub(crate) bits: Vec<u8>,
}

/// The reason why a segment cannot be decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SegmentError {
    /// Positions exceed a chunk: place of the tensor in the schema, and chunk inside it.
    Position(usize, usize),
    /// The first or the last state, or the number of words or bits, is wrong.
    End(&'static str),
}

/// Divides the entries of all deltas of a schema into segments.
pub(crate) fn segments(schema: &Schema) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut open = Segment::default();
    for (tensor, spec) in schema.tensors().iter().enumerate() {
        let mut chunk = 0;
        while chunk < spec.grid().num_chunks() {
            let part = part(spec, tensor, chunk, SEGMENT_ENTRIES - open.num_entries());
            chunk += part.entries.len().div_ceil(spec.kept());
            open.parts.push(part);
            // The cut depends on the schema only, so a payload needs no table of segments.
            if open.num_entries() >= SEGMENT_ENTRIES {
                segments.push(std::mem::take(&mut open));
            }
        }
    }
    if !open.parts.is_empty() {
        segments.push(open);
    }
    segments
}

/// As many chunks as contain `missing` entries, or the rest of the tensor.
fn part(spec: &TensorSpec, tensor: usize, first_chunk: usize, missing: usize) -> ChunkRun {
    let start = spec.entries().start + first_chunk * spec.kept();
    let end = spec.entries().end.min(start + missing.div_ceil(spec.kept()) * spec.kept());
    ChunkRun { tensor, first_chunk, kept: spec.kept(), entries: start..end }
}

impl ChunkRun {
    /// The entries of this run, out of those of the whole delta.
    pub(crate) fn of<'a>(&self, entries: &'a [CodedValue]) -> &'a [CodedValue] {
        &entries[self.entries.clone()]
    }

    /// Counts the symbols that encode these entries.
    pub(crate) fn count(&self, entries: &[CodedValue]) -> Counts {
        let mut classes = [0; 64];
        entries.chunks(self.kept).flat_map(gaps).for_each(|gap| classes[class(gap)] += 1);
        Counts { classes, codes: count_codes(entries) }
    }
}

impl Segment {
    pub(crate) fn num_entries(&self) -> usize {
        self.parts.iter().map(|part| part.entries.len()).sum()
    }

    /// Encodes the entries of this segment, given those of the whole delta; one model per part.
    pub(crate) fn encode(
        &self,
        entries: &[CodedValue],
        models: &[SegmentModel<'_>],
    ) -> EncodedSegment {
        let mut bits = BitWriter::new(self.num_entries());
        let mut classes = vec![0; self.num_entries()];
        let mut places = classes.as_mut_slice();
        for part in &self.parts {
            for chunk in part.of(entries).chunks(part.kept) {
                let (of_chunk, rest) = std::mem::take(&mut places).split_at_mut(chunk.len());
                places = rest;
                for (place, gap) in of_chunk.iter_mut().zip(gaps(chunk)) {
                    let class = class(gap);
                    let (least, count) = class_range(class as u32);
                    bits.put(gap - least, count);
                    *place = class as u8;
                }
            }
        }
        let (states, words) = self.encode_symbols(entries, models, &classes);
        EncodedSegment { states, words, bits: bits.finish() }
    }

    /// Encodes classes and codes, from the last entry to the first.
    fn encode_symbols(
        &self,
        entries: &[CodedValue],
        models: &[SegmentModel<'_>],
        mut classes: &[u8],
    ) -> ([u32; 4], Vec<u16>) {
        let mut lanes =
            LaneEncoder { states: [LOWER; 4], words: WordWriter::new(2 * self.num_entries()) };
        // rANS is a stack: the symbol encoded last is decoded first.
        for (part, model) in self.parts.iter().zip(models).rev() {
            let (gaps, codes) = (model.gaps.ranges(), model.codes.ranges());
            for chunk in part.of(entries).chunks(part.kept).rev() {
                let (rest, of_chunk) = classes.split_at(classes.len() - chunk.len());
                classes = rest;
                let (pairs, last) = chunk.as_chunks::<2>();
                let (pairs_of_classes, last_class) = of_chunk.as_chunks::<2>();
                if let ([entry], [class]) = (last, last_class) {
                    lanes.encode::<0>(*entry, *class, gaps, &codes);
                }
                for (pair, classes) in pairs.iter().zip(pairs_of_classes).rev() {
                    // Entries alternate between lanes by their place in the chunk, starting with
                    // lane 0. A constant lane keeps the states in registers.
                    lanes.encode::<1>(pair[1], classes[1], gaps, &codes);
                    lanes.encode::<0>(pair[0], classes[0], gaps, &codes);
                }
            }
        }
        (lanes.states, lanes.words.finish())
    }

    /// Fills `entries`, those of this segment alone, and counts the symbols of each part.
    pub(crate) fn decode(
        &self,
        schema: &Schema,
        models: &[SegmentModel<'_>],
        (states, words, bits): ([u32; 4], &[u16], &[u8]),
        mut entries: &mut [CodedValue],
    ) -> Result<Vec<Counts>, SegmentError> {
        // The encoder keeps states at `LOWER` or above; other states would decode to entries with a
        // second encoding.
        if states.iter().any(|state| *state < LOWER) {
            return Err(SegmentError::End("first state"));
        }
        let mut lanes =
            LaneDecoder { states, words: WordReader::new(words), bits: BitReader::new(bits) };
        let mut counts = Vec::with_capacity(self.parts.len());
        for (part, model) in self.parts.iter().zip(models) {
            let (of_part, rest) = std::mem::take(&mut entries).split_at_mut(part.entries.len());
            let spec = &schema.tensors()[part.tensor];
            let decoded = lanes.decode_part(part, spec, model, of_part);
            counts.push(decoded.map_err(|chunk| SegmentError::Position(part.tensor, chunk))?);
            entries = rest;
        }
        lanes.check_end().map(|()| counts)
    }
}

/// The gap before each entry of a chunk: the number of positions since the entry before, or since
/// the start of the chunk.
fn gaps(chunk: &[CodedValue]) -> impl Iterator<Item = u32> + '_ {
    let mut next = 0;
    chunk.iter().map(move |entry| {
        let gap = entry.position() as u32 - next;
        next = entry.position() as u32 + 1;
        gap
    })
}

/// The states of an encoder.
struct LaneEncoder {
    /// In the order of the decoder.
    states: [u32; 4],
    words: WordWriter,
}

impl LaneEncoder {
    #[inline(always)]
    fn encode<const LANE: usize>(
        &mut self,
        entry: CodedValue,
        class: u8,
        gaps: &[SymbolRange; 64],
        codes: &[SymbolRange; 4],
    ) {
        // Code before gap: the decoder reads the gap first.
        self.words.push(&mut self.states[2 + LANE], &codes[entry.code()], CODE_SCALE);
        self.words.push(&mut self.states[LANE], &gaps[usize::from(class & 63)], GAP_SCALE);
    }
}

/// The states of a decoder.
#[derive(Clone, Copy)]
struct LaneDecoder<'a> {
    /// Two lanes of gaps, two of codes; the entries of a chunk use them in turn.
    states: [u32; 4],
    words: WordReader<'a>,
    bits: BitReader<'a>,
}

impl LaneDecoder<'_> {
    /// Decodes the chunks of one part.
    ///
    /// # Errors
    ///
    /// The first chunk that its positions exceed.
    fn decode_part(
        &mut self,
        part: &ChunkRun,
        spec: &TensorSpec,
        model: &SegmentModel<'_>,
        all: &mut [CodedValue],
    ) -> Result<Counts, usize> {
        // A local copy that no reference can observe stays in registers.
        let mut lanes = *self;
        let (slots, codes) = (model.gaps.slots(), model.codes.slots());
        let mut classes = [0; 64];
        for (chunk, entries) in (part.first_chunk..).zip(all.chunks_mut(part.kept)) {
            let mut end = 0;
            let mut pairs = entries.chunks_exact_mut(2);
            for pair in pairs.by_ref() {
                pair[0] = lanes.decode_entry::<0>(slots, &codes, &mut end, &mut classes);
                pair[1] = lanes.decode_entry::<1>(slots, &codes, &mut end, &mut classes);
            }
            if let [last] = pairs.into_remainder() {
                *last = lanes.decode_entry::<0>(slots, &codes, &mut end, &mut classes);
            }
            // Checked once per chunk: a position past the end is masked to 12 bits by `CodedValue`,
            // so it cannot write out of bounds in between.
            if end as usize > spec.chunk_len(chunk) {
                return Err(chunk);
            }
        }
        *self = lanes;
        Ok(Counts { classes, codes: count_codes(all) })
    }

    /// Decodes the next entry of a chunk; positions from `end` on are free.
    #[inline(always)]
    fn decode_entry<const LANE: usize>(
        &mut self,
        slots: &[u32; 1 << GAP_SCALE],
        codes: &[u32; 1 << CODE_SCALE],
        end: &mut u32,
        classes: &mut ClassCounts,
    ) -> CodedValue {
        let state = self.states[LANE];
        let slot = slots[(state & 0xfff) as usize];
        self.states[LANE] =
            self.words.pop(state, slot & 0xfff, (slot >> 12 & 0xfff) + 1, GAP_SCALE);
        let class = slot >> 24;
        let (least, count) = class_range(class);
        let position = *end + least + self.bits.take(count);
        *end = position + 1;

        let state = self.states[2 + LANE];
        let code = codes[(state & 0x1ff) as usize];
        self.states[2 + LANE] =
            self.words.pop(state, code & 0x1ff, (code >> 9 & 0x1ff) + 1, CODE_SCALE);

        classes[(class & 63) as usize] += 1;
        CodedValue::new(position as usize, (code >> 18) as u8)
    }

    /// Returns an error unless all words and bits were read and the states are those in which the
    /// encoder starts.
    fn check_end(&self) -> Result<(), SegmentError> {
        // Together these make the encoding unique: see `rans` for the states and words.
        if !self.words.is_finished() {
            Err(SegmentError::End("number of words"))
        } else if !self.bits.is_finished() {
            Err(SegmentError::End("number of bits"))
        } else if self.states != [LOWER; 4] {
            Err(SegmentError::End("last state"))
        } else {
            Ok(())
        }
    }
}
