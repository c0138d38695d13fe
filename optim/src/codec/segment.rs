//! A stretch of entries as words and bits: the unit that is coded, and decoded, in parallel.
//!
//! Gaps go through two lanes in turn, codes through two others, so that four symbols are under way at once; the bits
//! that tell the gaps of a class apart stand in a row of their own.

use std::ops;

use super::bits::{BitReader, BitWriter};
use super::code_model::{CODE_SCALE, CodeModel};
use super::gap_model::{ClassCounts, GAP_SCALE, GapModel, class, class_range};
use super::rans::{LOWER, Range, WordWriter, Words};
use crate::sparseloco::{CodedValue, Schema, TensorSpec, count_codes};

/// Entries after which a segment ends with its chunk.
const SEGMENT_ENTRIES: usize = 32 * 1024;

/// Bytes of the four states.
pub(crate) const STATE_BYTES: usize = 16;

/// Chunks in a row of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRun {
    /// Place of the tensor in the schema.
    pub(crate) tensor: usize,
    first_chunk: usize,
    kept: usize,
    /// Place among all entries of the delta.
    entries: ops::Range<usize>,
}

/// Parts in a row.
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

/// How often which symbol occurs in one part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) classes: ClassCounts,
    pub(crate) codes: [u64; 4],
}

/// A segment, coded.
#[derive(Debug)]
pub(crate) struct Coded {
    pub(crate) states: [u32; 4],
    pub(crate) words: Vec<u16>,
    pub(crate) bits: Vec<u8>,
}

/// Why a segment cannot be decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SegmentError {
    /// Place of the tensor in the schema, and chunk inside it.
    Position(usize, usize),
    /// Which end is wrong.
    End(&'static str),
}

/// Cuts the entries of all deltas of a schema into segments.
pub(crate) fn segments(schema: &Schema) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut open = Segment::default();
    for (tensor, spec) in schema.tensors().iter().enumerate() {
        let mut chunk = 0;
        while chunk < spec.grid().num_chunks() {
            let part = part(spec, tensor, chunk, SEGMENT_ENTRIES - open.num_entries());
            chunk += part.entries.len().div_ceil(spec.kept());
            open.parts.push(part);
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

/// As many chunks as it takes to reach `room` entries, or the rest of the tensor.
fn part(spec: &TensorSpec, tensor: usize, first_chunk: usize, room: usize) -> ChunkRun {
    let start = spec.entries().start + first_chunk * spec.kept();
    let end = spec.entries().end.min(start + room.div_ceil(spec.kept()) * spec.kept());
    ChunkRun { tensor, first_chunk, kept: spec.kept(), entries: start..end }
}

impl ChunkRun {
    /// Its entries out of those of its segment's delta.
    pub(crate) fn of<'a>(&self, entries: &'a [CodedValue]) -> &'a [CodedValue] {
        &entries[self.entries.clone()]
    }

    /// Counts the symbols that code these entries.
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

    /// Codes its part of all entries of a delta; one model per part.
    pub(crate) fn encode(&self, entries: &[CodedValue], models: &[SegmentModel<'_>]) -> Coded {
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
        Coded { states, words, bits: bits.finish() }
    }

    /// Walks backwards, so that the decoder can walk forwards.
    fn encode_symbols(
        &self,
        entries: &[CodedValue],
        models: &[SegmentModel<'_>],
        mut classes: &[u8],
    ) -> ([u32; 4], Vec<u16>) {
        let mut lanes =
            EncodingLanes { states: [LOWER; 4], words: WordWriter::new(2 * self.num_entries()) };
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
        if states.iter().any(|state| *state < LOWER) {
            return Err(SegmentError::End("first state"));
        }
        let mut lanes = Lanes { states, words: Words::new(words), bits: BitReader::new(bits) };
        let mut counts = Vec::with_capacity(self.parts.len());
        for (part, model) in self.parts.iter().zip(models) {
            let (of_part, rest) = std::mem::take(&mut entries).split_at_mut(part.entries.len());
            let spec =
                schema.tensors().get(part.tensor).expect("segments are cut from this schema");
            let decoded = lanes.decode_part(part, spec, model, of_part);
            counts.push(decoded.map_err(|chunk| SegmentError::Position(part.tensor, chunk))?);
            entries = rest;
        }
        lanes.check_end().map(|()| counts)
    }
}

/// The gaps before the entries of one chunk: how many positions lie between one and the one before.
fn gaps(chunk: &[CodedValue]) -> impl Iterator<Item = u32> + '_ {
    let mut least = 0;
    chunk.iter().map(move |entry| {
        let gap = entry.position() as u32 - least;
        least = entry.position() as u32 + 1;
        gap
    })
}

/// An encoder on its way back through a segment.
struct EncodingLanes {
    /// As the decoder's.
    states: [u32; 4],
    words: WordWriter,
}

impl EncodingLanes {
    #[inline(always)]
    fn encode<const LANE: usize>(
        &mut self,
        entry: CodedValue,
        class: u8,
        gaps: &[Range; 64],
        codes: &[Range; 4],
    ) {
        self.words.push(&mut self.states[2 + LANE], &codes[entry.code()], CODE_SCALE);
        self.words.push(&mut self.states[LANE], &gaps[usize::from(class & 63)], GAP_SCALE);
    }
}

/// A decoder on its way through a segment.
#[derive(Clone, Copy)]
struct Lanes<'a> {
    /// Two of gaps, two of codes; entries of a chunk take them in turn.
    states: [u32; 4],
    words: Words<'a>,
    bits: BitReader<'a>,
}

impl Lanes<'_> {
    /// Decodes the chunks of one part; the error is the chunk whose positions run out of it.
    fn decode_part(
        &mut self,
        part: &ChunkRun,
        spec: &TensorSpec,
        model: &SegmentModel<'_>,
        all: &mut [CodedValue],
    ) -> Result<Counts, usize> {
        // A copy that nobody else can see stays in registers.
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
            if end as usize > spec.chunk_len(chunk) {
                return Err(chunk);
            }
        }
        *self = lanes;
        Ok(Counts { classes, codes: count_codes(all) })
    }

    /// The next entry of a chunk in which positions from `end` on are free.
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

    /// Everything was taken, and the encoder began where the decoder ended.
    fn check_end(&self) -> Result<(), SegmentError> {
        match self {
            _ if !self.words.is_finished() => Err(SegmentError::End("number of words")),
            _ if !self.bits.is_finished() => Err(SegmentError::End("number of bits")),
            _ if self.states != [LOWER; 4] => Err(SegmentError::End("last state")),
            _ => Ok(()),
        }
    }
}
