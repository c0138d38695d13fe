//! One file of tokens: how it is laid out and read.
//!
//! A shard is a safetensors file with two tensors, so that any tool of the field opens it: `tokens` (U16 or U32) and
//! `document_ends` (U64), the places behind the last token of each document. The header is padded to a multiple of
//! eight bytes and the 64-bit tensor stands first, so both are aligned.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::json;

use super::manifest::{ShardRecord, TokenType};
use crate::error::DataError;
use crate::io::FileDigest;

/// Headers are a few hundred bytes; anything near this is no shard of ours.
const LONGEST_HEADER: u64 = 1 << 16;

/// The first bytes of a shard: length and JSON, as safetensors wants them.
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
        "__metadata__": { "format": "covey-shard", "split": split, "tokenizer": tokenizer.to_string() },
        "document_ends": { "dtype": "U64", "shape": [documents], "data_offsets": [0, documents_end] },
        "tokens": { "dtype": token_type.name(), "shape": [tokens], "data_offsets": [documents_end, tokens_end] },
    });
    let mut json = header.to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    [&(json.len() as u64).to_le_bytes(), json.as_slice()].concat()
}

/// A shard on the disk whose header agrees with the manifest.
#[derive(Debug)]
pub(crate) struct Shard {
    path: PathBuf,
    /// Kept open, unless there are too many shards for that.
    file: Option<File>,
    token_type: TokenType,
    vocab_size: usize,
    documents: u64,
    /// Number of tokens.
    pub(crate) tokens: u64,
    /// Where `document_ends` starts in the file; `tokens` follows it.
    data_start: u64,
}

impl Shard {
    /// Opens a shard and checks its length and header, not its contents.
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
        if got != record.bytes {
            return Err(DataError::ShardLength { path, expected: record.bytes, got });
        }
        let data_start = check_header(&file, &path, record, token_type)?;
        let (tokens, documents) = (record.tokens, record.documents);
        let file = keep_open.then_some(file);
        Ok(Self { path, file, token_type, vocab_size, documents, tokens, data_start })
    }

    /// Appends `count` tokens from place `start` on, which must lie inside the shard.
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
        self.check_tokens(&tokens[first..])
    }

    /// The places behind the last token of each document, ascending.
    pub(crate) fn document_ends(&self) -> Result<Vec<u64>, DataError> {
        let read: Vec<u64> = self.read(self.data_start, self.documents as usize)?;
        let ends: Vec<u64> = read.into_iter().map(u64::from_le).collect();
        match ends.is_sorted() && ends.last().copied().unwrap_or(0) == self.tokens {
            true => Ok(ends),
            false => {
                Err(self
                    .invalid("its document ends are not ascending to its last token".to_string()))
            }
        }
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), DataError> {
        let highest = tokens.iter().copied().max().unwrap_or(0);
        match (highest as usize) < self.vocab_size {
            true => Ok(()),
            false => Err(self.invalid(format!(
                "token {highest} is outside its vocabulary of {}",
                self.vocab_size
            ))),
        }
    }

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

/// Compares the header with the manifest and returns where the data starts.
fn check_header(
    file: &File,
    path: &Path,
    record: &ShardRecord,
    token_type: TokenType,
) -> Result<u64, DataError> {
    let invalid = |reason: String| DataError::ShardInvalid { path: path.into(), reason };
    let mut length = [0; 8];
    read_at(file, &mut length, 0).map_err(|source| DataError::read(path, source))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER.min(record.bytes) {
        return Err(invalid(format!("its header claims {length} bytes")));
    }
    let mut header = vec![0; length as usize];
    read_at(file, &mut header, 8).map_err(|source| DataError::read(path, source))?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|error| invalid(format!("header: {error}")))?;
    let expected = [
        ("document_ends", Dtype::U64, record.documents, 0),
        ("tokens", token_type.dtype(), record.tokens, record.documents as usize * 8),
    ];
    for (name, dtype, count, start) in expected {
        let agrees = metadata.info(name).is_some_and(|info| {
            info.dtype == dtype && info.shape == [count as usize] && info.data_offsets.0 == start
        });
        if !agrees {
            return Err(invalid(format!(
                "tensor `{name}` is not {count} numbers of type {dtype:?}"
            )));
        }
    }
    match 8 + length + metadata.data_len() as u64 == record.bytes {
        true => Ok(8 + length),
        false => Err(invalid("its tensors do not fill the file".to_string())),
    }
}

/// Reads at a place without moving the file's position, so that threads can share the file.
///
/// Not a memory map: reading one would be unsafe code, and a file that shrinks meanwhile would kill the process
/// instead of giving an error.
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
