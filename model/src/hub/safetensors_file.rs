//! One safetensors file: an 8-byte length, a JSON header, then the tensors' bytes.
//!
//! Writing streams: no more than one tensor need be in memory, and the sink
//! is the caller's, so that tests can let it fail at any byte. Reading checks
//! the whole header against the length of the file before anything is
//! trusted, then reads by position, so that neither opening nor reading a
//! part costs memory in proportion to the file.

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

/// Longest header that is read; the limit of the reference implementation.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Bytes of the header's length.
const LENGTH_BYTES: u64 = 8;

/// Name, dtype and shape of one tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorHeader {
    /// Unique within the file.
    pub name: String,
    /// How its numbers are stored.
    pub dtype: Dtype,
    /// Row-major shape.
    pub shape: Vec<usize>,
}

impl TensorHeader {
    /// Bytes that the tensor takes in the file; `None` if that is no whole number or overflows.
    pub fn num_bytes(&self) -> Option<usize> {
        num_bytes(self.dtype, &self.shape)
    }
}

fn num_bytes(dtype: Dtype, shape: &[usize]) -> Option<usize> {
    let bits =
        shape.iter().try_fold(dtype.bitsize(), |product, size| product.checked_mul(*size))?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// Streams one safetensors file into `sink`: header, then every tensor in the order given.
///
/// `fill(index, sink)` writes the little-endian bytes of `tensors[index]`.
/// The same arguments give the same bytes. `sink` is flushed at the end, and
/// buffered by the caller if `fill` writes in small pieces.
///
/// Readers that view tensors in place want them aligned, so mixed dtypes
/// should come widest first; the data itself starts at a multiple of 8.
///
/// # Errors
/// Whatever `sink` or `fill` return, and [`io::ErrorKind::InvalidInput`] when `fill`
/// writes another number of bytes than the header promised.
pub fn write_safetensors(
    sink: &mut dyn Write,
    metadata: &BTreeMap<String, String>,
    tensors: &[TensorHeader],
    mut fill: impl FnMut(usize, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    sink.write_all(&header_bytes(metadata, tensors)?)?;
    for (index, tensor) in tensors.iter().enumerate() {
        let mut counted = Counted { sink: &mut *sink, written: 0 };
        fill(index, &mut counted)?;
        if Some(counted.written) != tensor.num_bytes() {
            let problem = format!("`{}` was filled with {} bytes", tensor.name, counted.written);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
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
        let end = end.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` has no size"))
        })?;
        let info = TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets: (start, end) };
        if header.insert(name.clone(), serde_json::to_value(info)?).is_some() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{name}` comes twice"),
            ));
        }
        start = end;
    }
    let mut json = serde_json::to_vec(&header)?;
    json.resize(json.len().next_multiple_of(LENGTH_BYTES as usize), b' ');
    Ok([(json.len() as u64).to_le_bytes().as_slice(), &json].concat())
}

/// Sink that knows how much went through it.
struct Counted<'a> {
    sink: &'a mut dyn Write,
    written: usize,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.written += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A safetensors file whose header was found whole and consistent with its length.
#[derive(Clone, Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    /// Where the tensors' bytes start.
    data_start: u64,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl SafetensorsFile {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// [`HubError::Truncated`] when the file ends before its header or data do,
    /// [`HubError::Damaged`] when tensors overlap, leave gaps or contradict their shapes,
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

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The free-form strings of the header.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Every tensor by name, in the order of names.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// Dtype, shape and place of one tensor.
    ///
    /// # Errors
    /// [`HubError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo, HubError> {
        self.tensors.get(name).ok_or_else(|| HubError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
        })
    }

    /// Fills `numbers` with the elements of a fp32, bf16 or fp16 tensor from `first_index` on, exactly.
    ///
    /// # Errors
    /// [`HubError::MissingTensor`], [`HubError::UnknownDtype`], [`HubError::Range`], and
    /// [`HubError::Io`] when the file has changed since it was opened.
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

    /// The bytes of a whole tensor, whatever its dtype.
    ///
    /// # Errors
    /// [`HubError::MissingTensor`], and [`HubError::Io`] when the file has changed since it was opened.
    pub fn read_bytes(&self, name: &str) -> Result<Vec<u8>, HubError> {
        let info = self.tensor(name)?;
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        self.source_at(info, 0)?
            .read_exact(&mut bytes)
            .map_err(HubError::io(&self.path, "read"))?;
        Ok(bytes)
    }

    /// The file, `offset` bytes into the tensor. Opened anew, so that threads do not share a position.
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
    let truncated = |expected| HubError::Truncated { path: path.to_owned(), expected, got: length };
    if length < LENGTH_BYTES {
        return Err(truncated(LENGTH_BYTES));
    }
    let mut header_length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut header_length).map_err(HubError::io(path, "read"))?;
    let header_length = u64::from_le_bytes(header_length);
    if header_length > MAX_HEADER_BYTES {
        return Err(HubError::damaged(
            path,
            format!("a header of {header_length} bytes is no safetensors header"),
        ));
    }
    if LENGTH_BYTES + header_length > length {
        return Err(truncated(LENGTH_BYTES + header_length));
    }
    let mut header = vec![0; header_length as usize];
    file.read_exact(&mut header).map_err(HubError::io(path, "read"))?;
    Ok(header)
}

type SafetensorsHeader = (BTreeMap<String, String>, BTreeMap<String, TensorInfo>);

fn parse_header(path: &Path, header: &[u8]) -> Result<SafetensorsHeader, HubError> {
    let mut entries: Map<String, Value> = serde_json::from_slice(header)
        .map_err(|error| HubError::damaged(path, format!("its header is no JSON: {error}")))?;
    let metadata = match entries.remove("__metadata__") {
        Some(strings) => serde_json::from_value(strings).map_err(|_| {
            HubError::damaged(path, "the metadata in its header are not all strings")
        })?,
        None => BTreeMap::new(),
    };
    let tensors = entries.into_iter().map(|(name, entry)| {
        let info = parse_tensor(path, &name, entry)?;
        Ok((name, info))
    });
    Ok((metadata, tensors.collect::<Result<_, HubError>>()?))
}

fn parse_tensor(path: &Path, name: &str, entry: Value) -> Result<TensorInfo, HubError> {
    if let Some(dtype) = entry.get("dtype")
        && serde_json::from_value::<Dtype>(dtype.clone()).is_err()
    {
        let dtype = dtype.as_str().map_or_else(|| dtype.to_string(), str::to_owned);
        return Err(unknown_dtype(path, name, &dtype));
    }
    serde_json::from_value(entry)
        .map_err(|error| HubError::damaged(path, format!("header of `{name}`: {error}")))
}

fn unknown_dtype(path: &Path, tensor: &str, dtype: &str) -> HubError {
    HubError::UnknownDtype {
        path: path.to_owned(),
        tensor: tensor.to_owned(),
        dtype: dtype.to_owned(),
    }
}

/// The tensors must fill the data part exactly, one after the other.
fn check_extents(
    path: &Path,
    tensors: &BTreeMap<String, TensorInfo>,
    length: u64,
    data_start: u64,
) -> Result<(), HubError> {
    let mut by_place: Vec<_> = tensors.iter().collect();
    by_place.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    for (name, info) in by_place {
        let (from, to) = info.data_offsets;
        if from != end {
            return Err(HubError::damaged(
                path,
                format!("`{name}` starts at byte {from} instead of {end}"),
            ));
        }
        if to
            .checked_sub(from)
            .is_none_or(|bytes| num_bytes(info.dtype, &info.shape) != Some(bytes))
        {
            let problem = format!(
                "`{name}` {} {:?} does not fill bytes {from} to {to}",
                info.dtype, info.shape
            );
            return Err(HubError::damaged(path, problem));
        }
        end = to;
    }
    let expected = data_start.saturating_add(end as u64);
    match length {
        _ if length < expected => {
            Err(HubError::Truncated { path: path.to_owned(), expected, got: length })
        }
        _ if length > expected => Err(HubError::damaged(
            path,
            format!("{} bytes follow its last tensor", length - expected),
        )),
        _ => Ok(()),
    }
}
