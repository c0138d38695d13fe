//! A finished dataset folder, opened for reading.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::held_out::HeldOutWindows;
use super::manifest::{DatasetManifest, MANIFEST_FILE, ShardRecord, Split};
use super::shard::Shard;
use super::windows::Windows;
use crate::error::DataError;
use crate::io::FileDigest;
use crate::tokenizer::{TOKENIZER_FILE, Tokenizer};

/// Number of shards that keep their file open; each of the others is opened for every read.
///
/// Most systems allow a process 1,024 open files, and the trainer needs some for other purposes.
const KEPT_OPEN: usize = 256;

/// Token shards with their manifest.
///
/// - Every shard exists, has the length listed in the manifest and a header that agrees with it.
/// - Only [`Dataset::verify`] checks the contents, because it reads every byte of the folder.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    manifest: DatasetManifest,
    digest: FileDigest,
    shards: Vec<(Split, Arc<Shard>)>,
}

impl Dataset {
    /// Opens a folder that [`crate::prepare`] has finished.
    ///
    /// Reads the manifest and the header of each shard.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let bytes = DatasetManifest::read_bytes(folder)?;
        let manifest = DatasetManifest::parse(&folder.join(MANIFEST_FILE), &bytes)?;
        let shards = manifest.shards.iter().enumerate().map(|(index, record)| {
            let shard = open_shard(folder, &manifest, record, index < KEPT_OPEN)?;
            Ok((record.split, Arc::new(shard)))
        });
        let shards = shards.collect::<Result<Vec<_>, DataError>>()?;
        Ok(Self { folder: folder.into(), digest: FileDigest::of(&bytes), shards, manifest })
    }

    /// The manifest of the folder.
    pub fn manifest(&self) -> &DatasetManifest {
        &self.manifest
    }

    /// The identity of the dataset: BLAKE3 of its manifest, which lists the digests of all files.
    pub fn digest(&self) -> FileDigest {
        self.digest
    }

    /// The folder that was opened.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The tokenizer of the dataset, read from its folder and compared with the manifest.
    pub fn tokenizer(&self) -> Result<Tokenizer, DataError> {
        let path = self.folder.join(TOKENIZER_FILE);
        let tokenizer = Tokenizer::load(&path)?;
        // Tokens of another vocabulary would train the wrong rows of the embedding without a sign.
        check_digest(path, self.manifest.tokenizer, tokenizer.digest())?;
        Ok(tokenizer)
    }

    /// Reads every file and compares its digest with the manifest; returns the first difference.
    pub fn verify(&self) -> Result<(), DataError> {
        self.verify_where(|_| true)
    }

    /// Like [`Dataset::verify`], for the shards of one split.
    pub fn verify_split(&self, split: Split) -> Result<(), DataError> {
        self.verify_where(|other| other == split)
    }

    fn verify_where(&self, is_wanted: impl Fn(Split) -> bool + Sync) -> Result<(), DataError> {
        self.tokenizer()?;
        self.manifest
            .shards
            .par_iter()
            .filter(|record| is_wanted(record.split))
            .try_for_each(|record| verify_file(self.folder.join(&record.file), record.digest))
    }

    /// All windows of `length` tokens, each with the token that follows it.
    ///
    /// Windows do not overlap, except that the last token of one is the first of the next. They
    /// never cross shards but may cross documents. Fails if `length` is 0 or if no shard of the
    /// split has `length + 1` tokens.
    pub fn windows(&self, split: Split, length: usize) -> Result<Windows, DataError> {
        if length == 0 {
            let (got, expected) = ("0".to_string(), "at least 1".to_string());
            return Err(DataError::Setting { name: "sequence length", got, expected });
        }
        let shards: Vec<_> = self.shards_of(split).cloned().collect();
        let longest = shards.iter().map(|shard| shard.tokens).max().unwrap_or(0);
        let windows = Windows::new(shards, length, self.digest);
        if windows.count() == 0 {
            let (folder, split) = (self.folder.clone(), split.name());
            return Err(DataError::SequenceTooLong { folder, split, length, longest });
        }
        Ok(windows)
    }

    /// At most `most` windows of the held-out split, evenly spaced and the same in every call.
    pub fn held_out_windows(&self, length: usize, most: u64) -> Result<HeldOutWindows, DataError> {
        Ok(HeldOutWindows::new(self.windows(Split::HeldOut, length)?, most))
    }

    /// For each shard of a split in order, the index after the last token of each document.
    pub fn document_ends(&self, split: Split) -> Result<Vec<Vec<u64>>, DataError> {
        self.shards_of(split).map(|shard| shard.document_ends()).collect()
    }

    fn shards_of(&self, split: Split) -> impl Iterator<Item = &Arc<Shard>> {
        self.shards.iter().filter(move |(own, _)| *own == split).map(|(_, shard)| shard)
    }
}

fn open_shard(
    folder: &Path,
    manifest: &DatasetManifest,
    record: &ShardRecord,
    keep_open: bool,
) -> Result<Shard, DataError> {
    Shard::open(folder, record, manifest.token_type, manifest.vocab_size, keep_open)
}

fn verify_file(path: PathBuf, expected: FileDigest) -> Result<(), DataError> {
    let got = FileDigest::of_file(&path).map_err(|source| DataError::read(&path, source))?;
    check_digest(path, expected, got)
}

fn check_digest(path: PathBuf, expected: FileDigest, got: FileDigest) -> Result<(), DataError> {
    if expected == got {
        return Ok(());
    }
    let (expected, got) = (expected.to_string(), got.to_string());
    Err(DataError::DigestMismatch { path, expected, got })
}
