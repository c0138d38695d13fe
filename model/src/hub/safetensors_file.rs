//! One safetensors file: an 8-byte length, a JSON header, the data of the tensors.
//!
//! Writing is a stream to a sink of the caller, with at most one tensor in memory. Reading checks
//! the whole header against the length of the file, and then reads by position. Neither needs
//! memory in proportion to the file.
//!
//! The format is that of <https://github.com/huggingface/safetensors>. The file is read here
//! instead of by that crate because its reader needs the whole file in memory, or `unsafe` memory
//! mapping.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde_json::{Map, Value};

use super::dtype::FloatDtype;
use crate::error::HubError;

/// Longest header that is accepted; the limit of the reference implementation.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Bytes of the length in front of the header.
const LENGTH_BYTES: u64 = 8;

/// Name, dtype and shape of a tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorHeader {
    /// Unique within the file.
    pub name: String,
    /// Dtype of its numbers.
    pub dtype: Dtype,
    /// Row-major shape.
    pub shape: Vec<usize>,
}

impl TensorHeader {
    /// Bytes of the tensor in the file; `None` if the number is fractional or overflows.
    pub fn num_bytes(&self) -> Option<usize> {
        num_bytes(self.dtype, &self.shape)
    }
}

fn num_bytes(dtype: Dtype, shape: &[usize]) -> Option<usize> {
    // In bits, because some dtypes take 4 or 6 bits per number. Shapes come from files, so the
    // product may overflow.
    let bits =
        shape.iter().try_fold(dtype.bitsize(), |product, size| product.checked_mul(*size))?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// Writes one safetensors file to `sink`: the header, then the tensors in the given order.
///
/// `fill(index, sink)` writes the little-endian bytes of `tensors[index]`. Equal arguments give
/// equal bytes. `sink` is flushed at the end. The caller should buffer it if `fill` writes small
/// pieces.
///
/// The data starts at a multiple of 8. With mixed dtypes, put the widest first, as readers that map
/// the file need aligned tensors.
///
/// # Errors
/// Errors of `sink` and `fill`, and [`io::ErrorKind::InvalidInput`] if `fill` writes a number of
/// bytes that differs from the header.
pub fn write_safetensors(
    sink: &mut dyn Write,
    metadata: &BTreeMap<String, String>,
    tensors: &[TensorHeader],
    mut fill: impl FnMut(usize, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    sink.write_all(&header_bytes(metadata, tensors)?)?;
    for (index, tensor) in tensors.iter().enumerate() {
        // Counted, because a short tensor would shift the tensors after it, without an error.
        let mut counted = CountingSink { sink: &mut *sink, written: 0 };
        fill(index, &mut counted)?;
        if Some(counted.written) != tensor.num_bytes() {
            return Err(invalid_input(format!(
                "wrote {} bytes for `{}`, expected {}",
                counted.written,
                tensor.name,
                tensor.num_bytes().unwrap_or_default()
            )));
        }
    }
    sink.flush()
}

/// Length and JSON header, padded with spaces to a multiple of 8.
fn header_bytes(
    metadata: &BTreeMap<String, String>,
    tensors: &[TensorHeader],
) -> io::Result<Vec<u8>> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), serde_json::to_value(metadata)?);
    }
    let mut start = 0;
    for TensorHeader { name, dtype, shape } in tensors {
        let end = num_bytes(*dtype, shape).and_then(|bytes| bytes.checked_add(start));
        let end =
            end.ok_or_else(|| invalid_input(format!("`{name}` has no size in whole bytes")))?;
        let info = TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets: (start, end) };
        if header.insert(name.clone(), serde_json::to_value(info)?).is_some() {
            return Err(invalid_input(format!("`{name}` is listed twice")));
        }
        start = end;
    }
    let mut json = serde_json::to_vec(&header)?;
    // JSON allows trailing spaces, and the format recommends them for alignment.
    json.resize(json.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
    Ok([(json.len() as u64).to_le_bytes().as_slice(), &json].concat())
}

fn invalid_input(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

/// A sink that counts the bytes written to it.
struct CountingSink<'a> {
    sink: &'a mut dyn Write,
    written: usize,
}

impl Write for CountingSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.written += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A safetensors file with a header that is consistent with the length of the file.
///
/// The value holds the header only; each read opens the file again.
#[derive(Clone, Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    /// Offset of the data in the file.
    data_start: u64,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl SafetensorsFile {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`HubError::Truncated`] if the file ends before its header or data do,
    /// [`HubError::Damaged`] if tensors overlap, leave gaps or contradict their shapes,
    /// [`HubError::UnknownDtype`], and [`HubError::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HubError> {
        let path = path.into();
        let mut file = File::open(&path).map_err(HubError::io(&path, "read"))?;
        let length = file.metadata().map_err(HubError::io(&path, "read"))?.len();
        let header = read_header(&path, &mut file, length)?;
        let data_start = LENGTH_BYTES + header.len() as u64;
        let (metadata, tensors) = parse_header(&path, &header)?;
        check_extents(&path, &tensors, length, data_start)?;
        Ok(Self { path, data_start, metadata, tensors })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The metadata of the header: strings of any content.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// All tensors, in the order of their names.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// Dtype, shape and offsets of one tensor.
    ///
    /// # Errors
    /// [`HubError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo, HubError> {
        self.tensors.get(name).ok_or_else(|| HubError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
        })
    }

    /// Fills `numbers` with the elements of an fp32, bf16 or fp16 tensor from `first_index` on. The
    /// conversion is exact.
    ///
    /// # Errors
    /// [`HubError::MissingTensor`], [`HubError::UnknownDtype`], [`HubError::Range`], and
    /// [`HubError::Io`] if the file was truncated after it was opened.
    pub fn read_numbers(
        &self,
        name: &str,
        first_index: usize,
        numbers: &mut [f32],
    ) -> Result<(), HubError> {
        let info = self.tensor(name)?;
        let format = FloatDtype::from_dtype(info.dtype)
            .ok_or_else(|| unknown_dtype(&self.path, name, &info.dtype.to_string()))?;
        let elements = element_range(name, info, first_index, numbers.len())?;
        let mut source = self.source_at(info, elements.start * format.width())?;
        format.read(&mut source, numbers).map_err(HubError::io(&self.path, "read"))
    }

    /// The bytes of a whole tensor of any dtype.
    ///
    /// # Errors
    /// [`HubError::MissingTensor`], and [`HubError::Io`] if the file was truncated after it was
    /// opened.
    pub fn read_bytes(&self, name: &str) -> Result<Vec<u8>, HubError> {
        let info = self.tensor(name)?;
        // At most the length of the file: `open` checked the offsets.
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        self.source_at(info, 0)?
            .read_exact(&mut bytes)
            .map_err(HubError::io(&self.path, "read"))?;
        Ok(bytes)
    }

    /// The file, positioned `offset` bytes into the tensor. Each call opens the file, because
    /// threads that share a handle share its position.
    fn source_at(&self, info: &TensorInfo, offset: usize) -> Result<File, HubError> {
        let mut file = File::open(&self.path).map_err(HubError::io(&self.path, "read"))?;
        let position = self.data_start + (info.data_offsets.0 + offset) as u64;
        file.seek(SeekFrom::Start(position)).map_err(HubError::io(&self.path, "read"))?;
        Ok(file)
    }
}

fn element_range(
    name: &str,
    info: &TensorInfo,
    first: usize,
    count: usize,
) -> Result<Range<usize>, HubError> {
    let available = info.shape.iter().product();
    let end = first.saturating_add(count);
    if end > available {
        return Err(HubError::Range { tensor: name.to_owned(), available, end });
    }
    Ok(first..end)
}

fn read_header(path: &Path, file: &mut File, length: u64) -> Result<Vec<u8>, HubError> {
    check_length(path, LENGTH_BYTES, length)?;
    let mut header_length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut header_length).map_err(HubError::io(path, "read"))?;
    let header_length = u64::from_le_bytes(header_length);
    // First: any other file starts with 8 bytes that are a huge number, and its sum could overflow.
    if header_length > MAX_HEADER_BYTES {
        let problem = format!("header of {header_length} bytes, limit is {MAX_HEADER_BYTES}");
        return Err(HubError::damaged(path, problem));
    }
    check_length(path, LENGTH_BYTES + header_length, length)?;
    let mut header = vec![0; header_length as usize];
    file.read_exact(&mut header).map_err(HubError::io(path, "read"))?;
    Ok(header)
}

fn check_length(path: &Path, expected: u64, got: u64) -> Result<(), HubError> {
    if got < expected {
        return Err(HubError::Truncated { path: path.to_owned(), expected, got });
    }
    Ok(())
}

/// Metadata, and tensors by name.
type SafetensorsHeader = (BTreeMap<String, String>, BTreeMap<String, TensorInfo>);

fn parse_header(path: &Path, header: &[u8]) -> Result<SafetensorsHeader, HubError> {
    let mut entries: Map<String, Value> = serde_json::from_slice(header)
        .map_err(|error| HubError::damaged(path, format!("header is not JSON: {error}")))?;
    let metadata = match entries.remove("__metadata__") {
        Some(strings) => serde_json::from_value(strings)
            .map_err(|_| HubError::damaged(path, "metadata is not an object of strings"))?,
        None => BTreeMap::new(),
    };
    let tensors = entries.into_iter().map(|(name, entry)| {
        let info = parse_tensor(path, &name, entry)?;
        Ok((name, info))
    });
    Ok((metadata, tensors.collect::<Result<_, HubError>>()?))
}

fn parse_tensor(path: &Path, name: &str, entry: Value) -> Result<TensorInfo, HubError> {
    // Checked apart from the rest: an unknown dtype is a valid file of another kind, not damage.
    if let Some(dtype) = entry.get("dtype")
        && serde_json::from_value::<Dtype>(dtype.clone()).is_err()
    {
        let dtype = dtype.as_str().map_or_else(|| dtype.to_string(), str::to_owned);
        return Err(unknown_dtype(path, name, &dtype));
    }
    serde_json::from_value(entry)
        .map_err(|error| HubError::damaged(path, format!("invalid entry of `{name}`: {error}")))
}

fn unknown_dtype(path: &Path, tensor: &str, dtype: &str) -> HubError {
    HubError::UnknownDtype {
        path: path.to_owned(),
        tensor: tensor.to_owned(),
        dtype: dtype.to_owned(),
    }
}

/// Checks that the tensors fill the data exactly, without gap or overlap.
///
/// The format requires this. It also limits the memory of a reader to the length of the file.
fn check_extents(
    path: &Path,
    tensors: &BTreeMap<String, TensorInfo>,
    length: u64,
    data_start: u64,
) -> Result<(), HubError> {
    let mut by_offset: Vec<_> = tensors.iter().collect();
    by_offset.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    for (name, info) in by_offset {
        let (from, to) = info.data_offsets;
        if from != end {
            let problem = format!("`{name}` starts at byte {from} instead of {end}");
            return Err(HubError::damaged(path, problem));
        }
        // `checked_sub`, as a damaged header may put the end before the start.
        let bytes = to.checked_sub(from);
        if bytes.is_none() || bytes != num_bytes(info.dtype, &info.shape) {
            let (dtype, shape) = (info.dtype, &info.shape);
            let problem = format!("`{name}` {dtype} {shape:?} does not fill bytes {from} to {to}");
            return Err(HubError::damaged(path, problem));
        }
        end = to;
    }
    let expected = data_start.saturating_add(end as u64);
    check_length(path, expected, length)?;
    if length > expected {
        let problem = format!("{} bytes follow the last tensor", length - expected);
        return Err(HubError::damaged(path, problem));
    }
    Ok(())
}
