//! The state from which an interrupted preparation continues after its last finished shard.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::readers::DocumentPosition;
use crate::dataset::{ShardRecord, is_plain_name};
use crate::error::DataError;
use crate::io::{FileDigest, MAX_JSON, WriteTarget, read_file, write_bytes_atomically};

const STATE_FILE: &str = "prepare-state.json";
const VERSION: u32 = 1;

/// Prefix of the names of unfinished shards; names of finished shards begin with their split.
const UNFINISHED: &str = "partial-";

/// The files of a preparation at the time when a shard was finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResumeState {
    version: u32,
    /// Digest of the inputs and settings; a state with another recipe is discarded.
    pub(super) recipe: FileDigest,
    /// The position after the last document in a finished or unfinished shard.
    pub(super) position: DocumentPosition,
    /// Number of documents with text before that position.
    pub(super) documents: u64,
    /// Finished shards, in the order in which they were finished.
    pub(super) shards: Vec<ShardRecord>,
    /// Copies of the shards that were still growing.
    pub(super) unfinished: Vec<ShardRecord>,
}

/// The resume state of an output folder, as found.
#[derive(Debug)]
pub(super) enum StoredState {
    /// No preparation was interrupted.
    Absent,
    /// A state of another version or with damaged contents.
    Unusable,
    /// A state of this version. Its recipe and its files are not checked yet.
    Present(ResumeState),
}

impl ResumeState {
    /// The state before the first document.
    pub(super) fn new(recipe: FileDigest) -> Self {
        Self {
            version: VERSION,
            recipe,
            position: DocumentPosition::default(),
            documents: 0,
            shards: Vec::new(),
            unfinished: Vec::new(),
        }
    }

    /// Reads the state of a folder.
    ///
    /// # Errors
    /// [`DataError::ResumeStateUnreadable`] if a state exists but cannot be read.
    pub(super) fn read(folder: &Path) -> Result<StoredState, DataError> {
        let path = folder.join(STATE_FILE);
        let bytes = match read_file(&path, MAX_JSON) {
            Ok(bytes) => bytes,
            // No other error means absence: a disk that fails once would cost the work of hours,
            // because a fresh start overwrites the finished shards.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(StoredState::Absent);
            }
            Err(source) => return Err(DataError::ResumeStateUnreadable { path, source }),
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(state) if state.is_valid() => Ok(StoredState::Present(state)),
            _ => Ok(StoredState::Unusable),
        }
    }

    /// Returns true if all listed files exist and have the listed digests.
    ///
    /// # Errors
    /// [`DataError::ResumeStateUnreadable`] if a file exists but cannot be read.
    pub(super) fn is_intact(&self, folder: &Path) -> Result<bool, DataError> {
        for record in self.records() {
            let path = folder.join(&record.file);
            match FileDigest::of_file(&path) {
                Ok(digest) if digest == record.digest => {}
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(source) => return Err(DataError::ResumeStateUnreadable { path, source }),
            }
        }
        Ok(true)
    }

    /// Replaces the state of the folder and removes the unfinished shards of the old state.
    pub(super) fn write(&self, disk: &dyn WriteTarget, folder: &Path) -> Result<(), DataError> {
        let bytes =
            serde_json::to_vec_pretty(self).expect("a tree of strings and numbers is always JSON");
        let path = folder.join(STATE_FILE);
        write_bytes_atomically(disk, &path, &bytes)
            .map_err(|source| DataError::write(&path, source))?;
        // Only now: until the rename above, the old state needs its files.
        remove_files(folder, |name| name.starts_with(UNFINISHED) && !self.lists(name))
    }

    /// Removes the state, unfinished shards and temporary files.
    pub(super) fn clear(folder: &Path) -> Result<(), DataError> {
        remove_files(folder, |name| {
            name == STATE_FILE
                || name.starts_with(UNFINISHED)
                || (name.starts_with('.') && name.ends_with(".tmp"))
        })
    }

    /// Removes the files of a preparation that will not be continued.
    pub(super) fn discard(&self, folder: &Path) -> Result<(), DataError> {
        // The state goes last: if this is interrupted, it still lists the remaining shards.
        remove_files(folder, |name| self.lists(name))?;
        Self::clear(folder)
    }

    /// The name under which a growing shard is saved.
    ///
    /// It contains the number of documents, so it is new each time and the files of the old state
    /// stay until the new state is written.
    pub(super) fn unfinished_name(&self, split: &str) -> String {
        format!("{UNFINISHED}{split}-{}.safetensors", self.documents)
    }

    fn lists(&self, name: &str) -> bool {
        self.records().any(|record| record.file == name)
    }

    fn records(&self) -> impl Iterator<Item = &ShardRecord> {
        self.shards.iter().chain(&self.unfinished)
    }

    fn is_valid(&self) -> bool {
        // `discard` removes the listed files, so no name may lead out of the folder.
        self.version == VERSION && self.records().all(|record| is_plain_name(&record.file))
    }
}

/// Removes the files of a folder with unwanted names; files of other programs stay.
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
