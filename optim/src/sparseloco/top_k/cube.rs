//! Top-k of every chunk of a tensor on a GPU.

use std::fmt;
use std::ops::Range;

use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{Cube, CubeDevice};
use cubecl::calculate_cube_count_elemwise;
use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;
use rayon::prelude::*;

use super::selector::{CpuTopK, TopK, accumulate};
use crate::sparseloco::config::TASK_LEN;
use crate::sparseloco::delta::CodedValue;
use crate::sparseloco::schema::TensorSpec;

/// Elements per transfer to the device: 64 MiB.
const ELEMENTS_AT_ONCE: usize = 16 << 20;

/// Units (threads) that process one chunk together.
const UNITS: usize = 256;

/// Finds the values of largest magnitude of chunks on a GPU; bit by bit the result of
/// [`Selector`](super::cpu::Selector).
///
/// - Of equal magnitudes the lower position is selected.
/// - Positions ascend, chunk by chunk.
/// - Magnitudes are compared as bit patterns, so the result does not depend on the treatment of
///   subnormal numbers by the device.
///
/// The sum with the error feedback is computed on the CPU: a device may fuse a product and a sum,
/// and the error feedback would differ between peers. So 4 bytes per element go to the device, and
/// only positions return.
#[derive(Clone)]
pub struct CubeTopK {
    client: Client,
    device: CubeDevice,
}

impl fmt::Debug for CubeTopK {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CubeTopK").field("device", &self.device).finish_non_exhaustive()
    }
}

/// The device failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("top-k on the device failed: {reason}")]
pub struct CubeError {
    reason: String,
}

impl CubeTopK {
    /// A selector on `device`. Returns `None` if the device is not a GPU.
    pub fn new(device: &Device) -> Option<Self> {
        let tensor = Tensor::<1>::empty([1], device).try_into_primitive::<Cube>().ok()?;
        Some(Self { client: tensor.client, device: tensor.device })
    }

    /// Positions of the largest values of each chunk of some slabs of a tensor, counted within the
    /// chunk.
    ///
    /// `values` are whole slabs; at the end of the tensor they may end with its shorter last chunk.
    ///
    /// # Errors
    ///
    /// [`CubeError`] if the device fails, for example for lack of memory.
    ///
    /// # Panics
    ///
    /// If `values` are not whole slabs.
    pub fn positions(&self, spec: &TensorSpec, values: Vec<f32>) -> Result<Vec<u32>, CubeError> {
        let chunks = Chunks::new(spec, values.len());
        if chunks.kept == 0 {
            return Ok(Vec::new());
        }
        let positions = self.client.empty(chunks.num_positions() * size_of::<u32>());
        let length = values.len();
        let values = self.client.create(Bytes::from_elems(values));
        let output = self.buffer(positions.clone(), chunks.num_positions(), DType::U32);
        chunks.launch(&self.client, self.buffer(values, length, DType::F32), output);
        let bytes = self
            .client
            .read_one(positions)
            .map_err(|error| CubeError { reason: error.to_string() })?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| u32::from_ne_bytes(*bytes)).collect())
    }

    fn buffer(&self, handle: Handle, length: usize, number: DType) -> BufferArg {
        let (client, device) = (self.client.clone(), self.device.clone());
        CubeTensor::new_contiguous(client, device, Shape::new([length]), handle, number)
            .into_buffer_arg()
    }
}

impl TopK for CubeTopK {
    /// Falls back to the CPU if the device fails.
    fn select(
        &self,
        spec: &TensorSpec,
        slabs: Range<usize>,
        decay: f32,
        error: &mut [f32],
        gradient: &[f32],
        entries: &mut [CodedValue],
    ) {
        let parts = error.par_chunks_mut(TASK_LEN).zip(gradient.par_chunks(TASK_LEN));
        parts.for_each(|(error, gradient)| accumulate(decay, error, gradient));
        match self.positions(spec, error.to_vec()) {
            Ok(positions) => {
                let marked = entries.iter_mut().zip(positions);
                marked.for_each(|(entry, position)| *entry = CodedValue::new(position as usize, 0));
            }
            // The error feedback already contains the sum. Adding minus zero changes no number, not
            // even zeros of either sign.
            Err(_) => CpuTopK.select(spec, slabs, 1.0, error, &vec![-0.0; error.len()], entries),
        }
    }

    /// 64 MiB per call: the device is busy for longer than a launch takes, and the buffer is small
    /// compared with its memory.
    fn slabs_at_once(&self, spec: &TensorSpec) -> usize {
        ELEMENTS_AT_ONCE / spec.grid().slab_len()
    }
}

/// The place of chunks in memory, and their numbers of entries.
#[derive(Clone, Copy, Debug)]
struct Chunks {
    number: usize,
    length: usize,
    last_length: usize,
    per_slab: usize,
    block_columns: usize,
    kept: usize,
    last_kept: usize,
}

impl Chunks {
    /// The chunks of slabs with `length` values.
    fn new(spec: &TensorSpec, length: usize) -> Self {
        let grid = spec.grid();
        let number = length.div_ceil(grid.chunk_len());
        let rest = length % grid.chunk_len();
        assert!(
            length > 0 && number.is_multiple_of(grid.chunks_per_slab()),
            "values must be whole slabs"
        );
        assert!(
            rest == 0 || rest == grid.last_chunk_len(),
            "only the last chunk of a tensor may be shorter"
        );
        Self {
            number,
            length: grid.chunk_len(),
            last_length: if rest == 0 { grid.chunk_len() } else { rest },
            per_slab: grid.chunks_per_slab(),
            block_columns: grid.block_columns(),
            kept: spec.kept(),
            last_kept: if rest == 0 { spec.kept() } else { spec.kept_last() },
        }
    }

    fn num_positions(&self) -> usize {
        (self.number - 1) * self.kept + self.last_kept
    }

    fn launch(&self, client: &Client, values: BufferArg, positions: BufferArg) {
        let dim = CubeDim::new_1d(UNITS as u32);
        largest_of_chunk::launch(
            client,
            calculate_cube_count_elemwise(client, self.number * UNITS, dim),
            dim,
            values,
            positions,
            self.number,
            self.length,
            self.last_length,
            self.per_slab,
            self.block_columns,
            self.kept,
            self.last_kept,
            self.length.div_ceil(UNITS),
        );
    }
}

/// One cube per chunk. Each unit holds `share` adjacent magnitudes, so the order of units is that
/// of positions.
#[cube(launch)]
#[expect(
    clippy::too_many_arguments,
    reason = "the numbers of one chunk, which kernels take one by one"
)]
fn largest_of_chunk(
    values: &[f32],
    positions: &mut [u32],
    number: usize,
    full_length: usize,
    last_length: usize,
    per_slab: usize,
    block_columns: usize,
    full_kept: usize,
    last_kept: usize,
    #[comptime] share: usize,
) {
    let chunk = CUBE_POS;
    if chunk >= number {
        terminate!();
    }
    let mut length = full_length;
    let mut kept = full_kept as u32;
    if chunk + 1 == number {
        length = last_length;
        kept = last_kept as u32;
    }
    let mut shared = Shared::<[u32]>::new_slice(256usize);
    let start = chunk / per_slab * per_slab * full_length + chunk % per_slab * block_columns;
    let first = UNIT_POS as usize * share;
    let mut magnitudes = Array::<u32>::new(share);
    #[unroll]
    for place in 0..share {
        let position = first + place;
        // A missing value has magnitude 0. The bisection below never tests 0, so it is never
        // counted.
        let mut magnitude = 0u32;
        if position < length {
            let inside =
                position / block_columns * per_slab * block_columns + position % block_columns;
            magnitude = u32::reinterpret(values[start + inside]) & 0x7fff_ffffu32;
        }
        magnitudes[place] = magnitude;
    }
    let least = least_sent(&magnitudes, kept, &mut shared, share);
    write_positions(
        &magnitudes,
        least,
        kept,
        length,
        &mut shared,
        positions,
        chunk * full_kept,
        share,
    );
}

/// The largest number that at least `kept` magnitudes of the chunk reach, found bit by bit.
#[cube]
fn least_sent(
    magnitudes: &Array<u32>,
    kept: u32,
    shared: &mut Shared<[u32]>,
    #[comptime] share: usize,
) -> u32 {
    let mut least = 0u32;
    // 31 rounds for 31 bits of a magnitude, without a branch that differs between units.
    let mut bit = 31u32;
    while bit > 0u32 {
        bit -= 1u32;
        let candidate = least | (1u32 << bit);
        let mut count = 0u32;
        #[unroll]
        for place in 0..share {
            count += u32::cast_from(magnitudes[place] >= candidate);
        }
        if sum_over_units(count, shared) >= kept {
            least = candidate;
        }
    }
    least
}

/// Writes, from `start` on, the positions of all magnitudes above `least`, and of as many that
/// equal it as are missing, the first ones.
#[cube]
#[expect(clippy::too_many_arguments, reason = "a kernel's state is in its variables")]
fn write_positions(
    magnitudes: &Array<u32>,
    least: u32,
    kept: u32,
    length: usize,
    shared: &mut Shared<[u32]>,
    positions: &mut [u32],
    start: usize,
    #[comptime] share: usize,
) {
    let first = UNIT_POS as usize * share;
    let mut above = 0u32;
    let mut ties = 0u32;
    #[unroll]
    for place in 0..share {
        above += u32::cast_from(magnitudes[place] > least);
        ties += u32::cast_from(first + place < length && magnitudes[place] == least);
    }
    // A chunk has at most 4096 values, so both counts fit into one word and need one barrier.
    shared[UNIT_POS as usize] = above | (ties << 16u32);
    sync_cube();
    let mut before = 0u32;
    let mut all = 0u32;
    for unit in 0..256usize {
        if unit < UNIT_POS as usize {
            before += shared[unit];
        }
        all += shared[unit];
    }
    let mut above_before = before & 0xffffu32;
    let mut ties_before = before >> 16u32;
    let ties_sent = kept - (all & 0xffffu32);
    #[unroll]
    for place in 0..share {
        let larger = magnitudes[place] > least;
        let tie = first + place < length && magnitudes[place] == least;
        if larger || (tie && ties_before < ties_sent) {
            let slot = above_before + ties_before.min(ties_sent);
            positions[start + slot as usize] = (first + place) as u32;
        }
        above_before += u32::cast_from(larger);
        ties_before += u32::cast_from(tie);
    }
}

/// The sum of the numbers of all units, returned to each of them.
#[cube]
fn sum_over_units(number: u32, shared: &mut Shared<[u32]>) -> u32 {
    let unit = UNIT_POS as usize;
    shared[unit] = number;
    sync_cube();
    let mut distance = 128usize;
    while distance > 0usize {
        if unit < distance {
            let other = shared[unit + distance];
            shared[unit] += other;
        }
        sync_cube();
        distance /= 2usize;
    }
    let sum = shared[0];
    // No unit may write its next number before all units have read this sum.
    sync_cube();
    sum
}
