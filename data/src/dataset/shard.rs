//! One file of tokens: its layout and how it is read.
//!
//! A shard is a safetensors file, which common tools open, with two tensors: `document_ends` (U64),
//! the index after the last token of each document, and `tokens` (U16 or U32). The header is padded
//! to a multiple of eight bytes and the 64-bit tensor comes first, so both tensors are aligned.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::json;

use super::manifest::{ShardRecord, TokenType};
use crate::error::DataError;
use crate::io::FileDigest;

/// Limit for a header that is read into memory. The headers of this program have about 300 bytes.
const LONGEST_HEADER: u64 = 1 << 16;

/// The first bytes of a shard in the safetensors format: the length of the header and its JSON.
pub(crate) fn header(
    tokens: u64,
    documents: u64,
    token_type: TokenType,
    split: &str,
    tokenizer: FileDigest,
) -> Vec<u8> {
    let documents_end = documents * 8;
    let tokens_end = documents_end + tokens * token_type.bytes();
    let header = json!({
        "__metadata__": {
            "format": "covey-shard", "split": split, "tokenizer": tokenizer.to_string(),
        },
        "document_ends": {
            "dtype": "U64", "shape": [documents], "data_offsets": [0, documents_end],
        },
        "tokens": {
            "dtype": token_type.name(), "shape": [tokens],
            "data_offsets": [documents_end, tokens_end],
        },
    });
    let mut json = header.to_string().into_bytes();
    // JSON allows spaces at its end; safetensors pads headers in the same way.
    json.resize(json.len().next_multiple_of(8), b' ');
    [&(json.len() as u64).to_le_bytes(), json.as_slice()].concat()
}

/// A shard on disk with a header that agrees with the manifest.
#[derive(Debug)]
pub(crate) struct Shard {
    path: PathBuf,
    /// `None` for shards beyond the number of files that stay open.
    file: Option<File>,
    token_type: TokenType,
    vocab_size: usize,
    documents: u64,
    /// Number of tokens.
    pub(crate) tokens: u64,
    /// Byte offset of `document_ends` in the file; `tokens` follows it.
    data_start: u64,
}

impl Shard {
    /// Opens a shard and checks its length and header, but not its contents.
    pub(crate) fn open(
        folder: &Path,
        record: &ShardRecord,
        token_type: TokenType,
        vocab_size: usize,
        keep_open: bool,
    ) -> Result<Self, DataError> {
        let path = folder.join(&record.file);
        let file = open_file(&path)?;
        let got = file.metadata().map_err(|source| DataError::read(&path, source))?.len();
        // First, because the length also bounds the header and every later offset.
        if got != record.bytes {
            return Err(DataError::ShardLength { path, expected: record.bytes, got });
        }
        let data_start = check_header(&file, &path, record, token_type)?;
        let (tokens, documents) = (record.tokens, record.documents);
        let file = keep_open.then_some(file);
        Ok(Self { path, file, token_type, vocab_size, documents, tokens, data_start })
    }

    /// Appends `count` tokens from index `start` on; all of them must be inside the shard.
    pub(crate) fn read_tokens(
        &self,
        start: u64,
        count: usize,
        tokens: &mut Vec<u32>,
    ) -> Result<(), DataError> {
        let offset = self.data_start + self.documents * 8 + start * self.token_type.bytes();
        let first = tokens.len();
        match self.token_type {
            TokenType::U16 => {
                let read: Vec<u16> = self.read(offset, count)?;
                tokens.extend(read.into_iter().map(|token| u32::from(u16::from_le(token))));
            }
            TokenType::U32 => {
                let read: Vec<u32> = self.read(offset, count)?;
                tokens.extend(read.into_iter().map(u32::from_le));
            }
        }
        // On every read, because opening checks no contents. Without this check a damaged byte
        // would index past the end of the embedding.
        self.check_tokens(&tokens[first..])
    }

    /// The index after the last token of each document, ascending.
    pub(crate) fn document_ends(&self) -> Result<Vec<u64>, DataError> {
        let read: Vec<u64> = self.read(self.data_start, self.documents as usize)?;
        let ends: Vec<u64> = read.into_iter().map(u64::from_le).collect();
        if !ends.is_sorted() || ends.last().copied().unwrap_or(0) != self.tokens {
            let reason = "its document ends are not ascending to its last token".to_string();
            return Err(self.invalid(reason));
        }
        Ok(ends)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), DataError> {
        let highest = tokens.iter().copied().max().unwrap_or(0);
        if highest as usize >= self.vocab_size {
            let size = self.vocab_size;
            let reason = format!("token {highest} is outside its vocabulary of {size}");
            return Err(self.invalid(reason));
        }
        Ok(())
    }

    /// Reads `count` little-endian numbers; the caller converts them to the order of the machine.
    fn read<N: bytemuck::Pod>(&self, offset: u64, count: usize) -> Result<Vec<N>, DataError> {
        let mut numbers = vec![N::zeroed(); count];
        let bytes = bytemuck::cast_slice_mut(&mut numbers);
        match &self.file {
            Some(file) => read_at(file, bytes, offset),
            None => read_at(&open_file(&self.path)?, bytes, offset),
        }
        .map_err(|source| DataError::read(&self.path, source))?;
        Ok(numbers)
    }

    fn invalid(&self, reason: String) -> DataError {
        DataError::ShardInvalid { path: self.path.clone(), reason }
    }
}

fn open_file(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => DataError::ShardMissing { path: path.into() },
        _ => DataError::read(path, source),
    })
}

/// Compares the header with the manifest and returns the byte offset of the data.
fn check_header(
    file: &File,
    path: &Path,
    record: &ShardRecord,
    token_type: TokenType,
) -> Result<u64, DataError> {
    let header = read_header(file, path, record)?;
    check_tensors(&header, record, token_type)
        .map_err(|reason| DataError::ShardInvalid { path: path.into(), reason })?;
    Ok(8 + header.len() as u64)
}

/// Reads the JSON of the header, which follows its length in 8 bytes.
fn read_header(file: &File, path: &Path, record: &ShardRecord) -> Result<Vec<u8>, DataError> {
    let mut length = [0; 8];
    read_at(file, &mut length, 0).map_err(|source| DataError::read(path, source))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER.min(record.bytes) {
        let reason = format!("its header claims {length} bytes");
        return Err(DataError::ShardInvalid { path: path.into(), reason });
    }
    let mut header = vec![0; length as usize];
    read_at(file, &mut header, 8).map_err(|source| DataError::read(path, source))?;
    Ok(header)
}

/// Returns the first difference between the tensors in the header and the manifest.
fn check_tensors(header: &[u8], record: &ShardRecord, token_type: TokenType) -> Result<(), String> {
    let metadata: Metadata =
        serde_json::from_slice(header).map_err(|error| format!("header: {error}"))?;
    let expected = [
        ("document_ends", Dtype::U64, record.documents, 0),
        ("tokens", token_type.dtype(), record.tokens, record.documents as usize * 8),
    ];
    for (name, dtype, count, start) in expected {
        let agrees = metadata.info(name).is_some_and(|info| {
            info.dtype == dtype && info.shape == [count as usize] && info.data_offsets.0 == start
        });
        if !agrees {
            return Err(format!("tensor `{name}` is not {count} numbers of type {dtype:?}"));
        }
    }
    // Equality rather than a bound: bytes after the tensors would be invisible to other readers.
    if 8 + header.len() as u64 + metadata.data_len() as u64 != record.bytes {
        return Err("its tensors do not fill the file".to_string());
    }
    Ok(())
}

/// Reads at an offset without moving the position of the file, so threads can share the file.
///
/// This is not a memory map: reading one needs unsafe code, and a file that shrinks in the meantime
/// would kill the process instead of causing an error.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[count..];
        offset += count as u64;
    }
    Ok(())
}
