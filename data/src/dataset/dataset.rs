//! A prepared folder, opened for reading.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::held_out::HeldOutWindows;
use super::manifest::{DatasetManifest, MANIFEST_FILE, Split};
use super::shard::Shard;
use super::windows::Windows;
use crate::error::DataError;
use crate::io::FileDigest;
use crate::tokenizer::{TOKENIZER_FILE, Tokenizer};

/// Shards that keep their file open. Systems allow about a thousand open files; shards beyond are opened for each read.
const KEPT_OPEN: usize = 256;

/// Token shards with their manifest.
///
/// - Every shard is there, has the length of the manifest and a header that agrees with it.
/// - Contents are checked by [`Dataset::verify`] only: reading everything takes a while.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    manifest: DatasetManifest,
    digest: FileDigest,
    shards: Vec<(Split, Arc<Shard>)>,
}

impl Dataset {
    /// Opens a folder that [`crate::prepare`] has finished.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let bytes = DatasetManifest::read_bytes(folder)?;
        let manifest = DatasetManifest::parse(&folder.join(MANIFEST_FILE), &bytes)?;
        let shards: Result<Vec<_>, DataError> = manifest
            .shards
            .iter()
            .enumerate()
            .map(|(index, record)| {
                let keep_open = index < KEPT_OPEN;
                let shard = Shard::open(
                    folder,
                    record,
                    manifest.token_type,
                    manifest.vocab_size,
                    keep_open,
                )?;
                Ok((record.split, Arc::new(shard)))
            })
            .collect();
        Ok(Self {
            folder: folder.into(),
            digest: FileDigest::of(&bytes),
            shards: shards?,
            manifest,
        })
    }

    /// What the folder says about itself.
    pub fn manifest(&self) -> &DatasetManifest {
        &self.manifest
    }

    /// BLAKE3 of the manifest, and so of everything it lists: the identity of the dataset.
    pub fn digest(&self) -> FileDigest {
        self.digest
    }

    /// Where it was opened.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The tokenizer it was made with, from its own folder.
    pub fn tokenizer(&self) -> Result<Tokenizer, DataError> {
        let path = self.folder.join(TOKENIZER_FILE);
        let tokenizer = Tokenizer::load(&path)?;
        same_digest(path, self.manifest.tokenizer, tokenizer.digest())?;
        Ok(tokenizer)
    }

    /// Reads every file again and compares it with the manifest; the first difference is the error.
    pub fn verify(&self) -> Result<(), DataError> {
        self.verify_where(|_| true)
    }

    /// The same for the shards of one split only.
    pub fn verify_split(&self, split: Split) -> Result<(), DataError> {
        self.verify_where(|other| other == split)
    }

    fn verify_where(&self, wanted: impl Fn(Split) -> bool + Sync) -> Result<(), DataError> {
        self.tokenizer()?;
        self.manifest.shards.par_iter().filter(|record| wanted(record.split)).try_for_each(
            |record| {
                let path = self.folder.join(&record.file);
                let got = FileDigest::of_file(&path)?;
                same_digest(path, record.digest, got)
            },
        )
    }

    /// All windows of `length` tokens, each with the token that follows it.
    ///
    /// Windows do not overlap, except that the last token of one is the first of the next; they never cross shards but
    /// may cross documents. Fails when `length` is longer than every shard of the split.
    pub fn windows(&self, split: Split, length: usize) -> Result<Windows, DataError> {
        let shards: Vec<_> = self.shards_of(split).cloned().collect();
        let longest = shards.iter().map(|shard| shard.tokens).max().unwrap_or(0);
        if length == 0 {
            let expected = "at least 1".to_string();
            return Err(DataError::Setting {
                name: "sequence length",
                got: "0".to_string(),
                expected,
            });
        }
        match Windows::new(shards, length, self.digest) {
            windows if windows.count() > 0 => Ok(windows),
            _ => Err(DataError::SequenceTooLong {
                folder: self.folder.clone(),
                split,
                length,
                longest,
            }),
        }
    }

    /// At most `most` windows of the held-out split, spread evenly over it: the same ones every time.
    pub fn held_out_windows(&self, length: usize, most: u64) -> Result<HeldOutWindows, DataError> {
        Ok(HeldOutWindows::new(self.windows(Split::HeldOut, length)?, most))
    }

    /// The places behind the last token of each document, for each shard of a split in order.
    pub fn document_ends(&self, split: Split) -> Result<Vec<Vec<u64>>, DataError> {
        self.shards_of(split).map(|shard| shard.document_ends()).collect()
    }

    fn shards_of(&self, split: Split) -> impl Iterator<Item = &Arc<Shard>> {
        self.shards.iter().filter(move |(own, _)| *own == split).map(|(_, shard)| shard)
    }
}

fn same_digest(path: PathBuf, expected: FileDigest, got: FileDigest) -> Result<(), DataError> {
    match expected == got {
        true => Ok(()),
        false => Err(DataError::DigestMismatch { path, expected, got }),
    }
}
