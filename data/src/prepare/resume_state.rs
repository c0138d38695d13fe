//! What an interrupted preparation leaves behind, to go on from its last finished shard.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::dataset::{ShardRecord, is_plain_name};
use crate::error::DataError;
use crate::io::{FileDigest, WriteTarget, write_bytes_atomically};
use crate::prepare::readers::DocumentPosition;

const STATE_FILE: &str = "prepare-state.json";
const VERSION: u32 = 1;

/// How names of unfinished shards start; the final ones never do.
const UNFINISHED: &str = "partial-";

/// Everything that is on the disk when a shard has been finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResumeState {
    version: u32,
    /// Digest of the inputs and settings; a state of another recipe is of no use.
    pub(super) recipe: FileDigest,
    /// Behind the last document that is in a shard or in an unfinished one.
    pub(super) position: DocumentPosition,
    /// Documents with text before that.
    pub(super) documents: u64,
    /// Finished shards, in the order of finishing.
    pub(super) shards: Vec<ShardRecord>,
    /// The contents of shards that were still growing.
    pub(super) unfinished: Vec<ShardRecord>,
}

impl ResumeState {
    /// Nothing done yet.
    pub(super) fn new(recipe: FileDigest) -> Self {
        let (shards, unfinished) = (Vec::new(), Vec::new());
        Self {
            version: VERSION,
            recipe,
            position: DocumentPosition::default(),
            documents: 0,
            shards,
            unfinished,
        }
    }

    /// Reads the state in a folder: nothing if there is none, an error if it is damaged.
    pub(super) fn read(folder: &Path) -> Option<Result<Self, String>> {
        let bytes = fs::read(folder.join(STATE_FILE)).ok()?;
        let state: Result<Self, _> =
            serde_json::from_slice(&bytes).map_err(|error| error.to_string());
        Some(state.and_then(Self::checked))
    }

    /// Whether all files it lists are there, bit for bit.
    pub(super) fn is_intact(&self, folder: &Path) -> bool {
        let intact = |record: &ShardRecord| {
            FileDigest::of_file(&folder.join(&record.file)).ok() == Some(record.digest)
        };
        self.shards.iter().chain(&self.unfinished).all(intact)
    }

    /// Replaces the state in the folder, then removes the unfinished shards that only the old one listed.
    pub(super) fn write(&self, disk: &dyn WriteTarget, folder: &Path) -> Result<(), DataError> {
        let bytes =
            serde_json::to_vec_pretty(self).expect("a tree of strings and numbers is always JSON");
        write_bytes_atomically(disk, &folder.join(STATE_FILE), &bytes)?;
        remove_files(folder, |name| name.starts_with(UNFINISHED) && !self.lists(name))
    }

    /// Removes everything that is not part of a finished dataset.
    pub(super) fn clear(folder: &Path) -> Result<(), DataError> {
        remove_files(folder, |name| {
            name == STATE_FILE
                || name.starts_with(UNFINISHED)
                || (name.starts_with('.') && name.ends_with(".tmp"))
        })
    }

    /// Removes the shards of a preparation that is not continued.
    pub(super) fn discard(&self, folder: &Path) -> Result<(), DataError> {
        remove_files(folder, |name| self.lists(name))?;
        Self::clear(folder)
    }

    /// The name under which a growing shard is kept: a new one each time, so that the old state stays usable until
    /// the new one is written.
    pub(super) fn unfinished_name(&self, split: &str) -> String {
        format!("{UNFINISHED}{split}-{}.safetensors", self.documents)
    }

    fn lists(&self, name: &str) -> bool {
        self.shards.iter().chain(&self.unfinished).any(|record| record.file == name)
    }

    fn checked(self) -> Result<Self, String> {
        let plain = |record: &ShardRecord| is_plain_name(&record.file);
        match self.version == VERSION && self.shards.iter().chain(&self.unfinished).all(plain) {
            true => Ok(self),
            false => Err("another version".to_string()),
        }
    }
}

fn remove_files(folder: &Path, is_unwanted: impl Fn(&str) -> bool) -> Result<(), DataError> {
    let entries = fs::read_dir(folder).map_err(|source| DataError::read(folder, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| DataError::read(folder, source))?;
        if entry.file_name().to_str().is_some_and(&is_unwanted) {
            fs::remove_file(entry.path())
                .map_err(|source| DataError::write(&entry.path(), source))?;
        }
    }
    Ok(())
}
