//! Float dtypes of weights in files, and their conversion from and to f32.

use std::io::{self, Read, Write};
use std::str::FromStr;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::Dtype;

/// Elements converted at a time. 256 KiB of f32 stay in the second-level cache.
const CHUNK: usize = 65_536;

/// Dtype of a weight in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FloatDtype {
    /// IEEE 754 single precision, as for master weights.
    Fp32,
    /// The upper 16 bits of an fp32: the same range, 8 bits of precision.
    Bf16,
    /// IEEE 754 half precision: 11 bits of precision, infinity above 65,504.
    Fp16,
}

impl FloatDtype {
    /// All dtypes.
    pub const ALL: [Self; 3] = [Self::Fp32, Self::Bf16, Self::Fp16];

    /// Bytes per number.
    pub fn width(self) -> usize {
        match self {
            Self::Fp32 => 4,
            Self::Bf16 | Self::Fp16 => 2,
        }
    }

    /// Name in a safetensors header.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::Fp32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
            Self::Fp16 => Dtype::F16,
        }
    }

    /// The float dtype for a dtype of a safetensors header; `None` for integers, fp8 and the like.
    pub fn from_dtype(dtype: Dtype) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.dtype() == dtype)
    }

    /// Name in `config.json`.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::Fp32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::Fp16 => "float16",
        }
    }

    /// The dtype with this name in `config.json`.
    pub fn from_torch_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.torch_name() == name)
    }

    /// Writes `numbers` in this dtype, little-endian, rounded to nearest even.
    ///
    /// # Errors
    /// Errors of `sink`.
    pub fn write(self, numbers: &[f32], sink: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Fp32 => write_chunks(numbers, sink, |from, to: &mut [u32]| {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_bits());
            }),
            Self::Bf16 => write_chunks(numbers, sink, |from, to: &mut [u16]| {
                bytemuck::cast_slice_mut::<u16, bf16>(to).convert_from_f32_slice(from);
            }),
            Self::Fp16 => write_chunks(numbers, sink, |from, to: &mut [u16]| {
                bytemuck::cast_slice_mut::<u16, f16>(to).convert_from_f32_slice(from);
            }),
        }
    }

    /// Fills `numbers` from little-endian bytes of this dtype. The conversion is exact.
    ///
    /// # Errors
    /// Errors of `source`, in particular [`io::ErrorKind::UnexpectedEof`].
    pub fn read(self, source: &mut dyn Read, numbers: &mut [f32]) -> io::Result<()> {
        match self {
            Self::Fp32 => {
                // Read in place: a file of 5 GB needs no second buffer.
                source.read_exact(bytemuck::cast_slice_mut(numbers))?;
                numbers
                    .iter_mut()
                    .for_each(|number| *number = f32::from_bits(u32::from_le(number.to_bits())));
                Ok(())
            }
            Self::Bf16 => read_halves(source, numbers, |from, to| {
                bytemuck::cast_slice::<u16, bf16>(from).convert_to_f32_slice(to);
            }),
            Self::Fp16 => read_halves(source, numbers, |from, to| {
                bytemuck::cast_slice::<u16, f16>(from).convert_to_f32_slice(to);
            }),
        }
    }
}

/// Parses the names of the command line: `fp32`, `bf16`, `fp16`.
impl FromStr for FloatDtype {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "fp32" => Ok(Self::Fp32),
            "bf16" => Ok(Self::Bf16),
            "fp16" => Ok(Self::Fp16),
            _ => Err(format!("unknown dtype `{name}`, expected fp32, bf16 or fp16")),
        }
    }
}

/// An unsigned integer with the bits of a float.
trait Bits: bytemuck::Pod {
    fn to_little_endian(self) -> Self;
}

impl Bits for u16 {
    fn to_little_endian(self) -> Self {
        self.to_le()
    }
}

impl Bits for u32 {
    fn to_little_endian(self) -> Self {
        self.to_le()
    }
}

// Conversion runs on slices instead of single numbers: `half` uses F16C there if the CPU has it,
// which converts eight numbers per instruction.
fn write_chunks<B: Bits>(
    numbers: &[f32],
    sink: &mut dyn Write,
    convert: impl Fn(&[f32], &mut [B]),
) -> io::Result<()> {
    let mut buffer = vec![B::zeroed(); numbers.len().min(CHUNK)];
    for chunk in numbers.chunks(CHUNK) {
        let bits = &mut buffer[..chunk.len()];
        convert(chunk, bits);
        bits.iter_mut().for_each(|bits| *bits = bits.to_little_endian());
        sink.write_all(bytemuck::cast_slice(bits))?;
    }
    Ok(())
}

fn read_halves(
    source: &mut dyn Read,
    numbers: &mut [f32],
    convert: impl Fn(&[u16], &mut [f32]),
) -> io::Result<()> {
    let mut buffer = vec![0u16; numbers.len().min(CHUNK)];
    for chunk in numbers.chunks_mut(CHUNK) {
        let bits = &mut buffer[..chunk.len()];
        source.read_exact(bytemuck::cast_slice_mut(bits))?;
        bits.iter_mut().for_each(|bits| *bits = u16::from_le(*bits));
        convert(bits, chunk);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_and_read(format: FloatDtype, numbers: &[f32]) -> Vec<f32> {
        let mut bytes = Vec::new();
        format.write(numbers, &mut bytes).unwrap();
        assert_eq!(bytes.len(), numbers.len() * format.width());
        let mut read = vec![0.0; numbers.len()];
        format.read(&mut bytes.as_slice(), &mut read).unwrap();
        read
    }

    #[test]
    fn all_16_bit_floats_are_unchanged_by_a_conversion_to_f32_and_back() {
        let halves: Vec<u16> = (0..=u16::MAX).collect();
        for format in [FloatDtype::Bf16, FloatDtype::Fp16] {
            let mut numbers = vec![0.0f32; halves.len()];
            format.read(&mut bytemuck::cast_slice(&halves), &mut numbers).unwrap();
            let mut bytes = Vec::new();
            format.write(&numbers, &mut bytes).unwrap();
            let back: &[u16] = bytemuck::cast_slice(&bytes);
            let differing = halves
                .iter()
                .zip(back)
                .zip(&numbers)
                .filter(|((a, b), number)| a != b && !number.is_nan());
            assert_eq!(differing.count(), 0, "{format:?}");
        }
    }

    #[test]
    fn numbers_are_rounded_to_nearest_even() {
        let step = 2f32.powi(-7);
        let between = [1.0 + step / 2.0, 1.0 + 1.5 * step, 1.0 + 0.6 * step, -1.0 - step / 2.0];
        assert_eq!(
            write_and_read(FloatDtype::Bf16, &between),
            [1.0, 1.0 + 2.0 * step, 1.0 + step, -1.0]
        );
        let step = 2f32.powi(-10);
        let between = [1.0 + step / 2.0, 1.0 + 1.5 * step, 1.0 + 0.6 * step, 65_519.0, 65_520.0];
        assert_eq!(
            write_and_read(FloatDtype::Fp16, &between),
            [1.0, 1.0 + 2.0 * step, 1.0 + step, 65_504.0, f32::INFINITY]
        );
    }

    #[test]
    fn fp32_is_exact_to_the_bit_across_chunk_borders() {
        let numbers: Vec<f32> = (0..CHUNK as u32 + 17)
            .map(|bits| f32::from_bits(bits.wrapping_mul(2_654_435_761)))
            .collect();
        let same = write_and_read(FloatDtype::Fp32, &numbers)
            .iter()
            .zip(&numbers)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same);
    }
}
