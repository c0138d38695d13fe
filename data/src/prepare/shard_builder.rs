//! A shard that grows in memory until it is written.

use std::io::{self, Write};
use std::path::Path;

use crate::dataset::{Shard, ShardRecord, Split, TokenType, header};
use crate::error::DataError;
use crate::io::{FileDigest, WriteTarget, write_atomically};

/// The tokens of whole documents, as the bytes of the file.
#[derive(Debug)]
pub(super) struct ShardBuilder {
    split: Split,
    token_type: TokenType,
    // In the layout of the file: hashing and writing need no second copy in memory.
    tokens: Vec<u8>,
    document_ends: Vec<u64>,
    text_bytes: u64,
}

impl ShardBuilder {
    pub(super) fn new(split: Split, token_type: TokenType) -> Self {
        Self { split, token_type, tokens: Vec::new(), document_ends: Vec::new(), text_bytes: 0 }
    }

    /// Restores a shard that [`ShardBuilder::write`] wrote.
    pub(super) fn restore(
        folder: &Path,
        record: &ShardRecord,
        token_type: TokenType,
        vocab_size: usize,
    ) -> Result<Self, DataError> {
        let shard = Shard::open(folder, record, token_type, vocab_size, true)?;
        let mut tokens = Vec::new();
        shard.read_tokens(0, record.tokens as usize, &mut tokens)?;
        let mut builder = Self::new(record.split, token_type);
        builder.append(&tokens);
        builder.document_ends = shard.document_ends()?;
        builder.text_bytes = record.text_bytes;
        Ok(builder)
    }

    pub(super) fn split(&self) -> Split {
        self.split
    }

    pub(super) fn num_tokens(&self) -> u64 {
        self.tokens.len() as u64 / self.token_type.bytes()
    }

    /// Adds a document and an end of text, if the vocabulary has one.
    pub(super) fn push(&mut self, tokens: &[u32], end_of_text: Option<u32>, text_bytes: u64) {
        self.append(tokens);
        self.append(end_of_text.as_slice());
        self.document_ends.push(self.num_tokens());
        self.text_bytes += text_bytes;
    }

    /// Writes the shard and returns its entry for the manifest.
    pub(super) fn write(
        &self,
        disk: &dyn WriteTarget,
        folder: &Path,
        file: String,
        tokenizer: FileDigest,
    ) -> Result<ShardRecord, DataError> {
        let (tokens, documents) = (self.num_tokens(), self.document_ends.len() as u64);
        let header = header(tokens, documents, self.token_type, self.split.name(), tokenizer);
        let ends: Vec<u8> = self.document_ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        let parts = [header.as_slice(), &ends, &self.tokens];
        let path = folder.join(&file);
        write_atomically(disk, &path, |writer| write_all(writer, &parts))
            .map_err(|source| DataError::write(&path, source))?;
        Ok(ShardRecord {
            file,
            split: self.split,
            tokens,
            documents,
            text_bytes: self.text_bytes,
            bytes: parts.iter().map(|part| part.len() as u64).sum(),
            digest: digest(&parts),
        })
    }

    fn append(&mut self, tokens: &[u32]) {
        match self.token_type {
            // No id is lost: the type was chosen for the size of the vocabulary.
            TokenType::U16 => {
                self.tokens.extend(tokens.iter().flat_map(|&token| (token as u16).to_le_bytes()))
            }
            TokenType::U32 => {
                self.tokens.extend(tokens.iter().flat_map(|token| token.to_le_bytes()))
            }
        }
    }
}

fn write_all(writer: &mut dyn Write, parts: &[&[u8]]) -> io::Result<()> {
    parts.iter().try_for_each(|part| writer.write_all(part))
}

/// The digest of the file without reading it back: what reached the disk is checked on resume.
fn digest(parts: &[&[u8]]) -> FileDigest {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    FileDigest::from(hasher.finalize())
}
