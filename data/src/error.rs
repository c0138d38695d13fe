//! Everything that can go wrong between a text file and a batch of tokens.

use std::io;
use std::path::{Path, PathBuf};

use crate::dataset::Split;
use crate::io::FileDigest;

/// The one error of this crate; each variant carries what its reader needs to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// An input or a dataset that is not there.
    #[error("{path} does not exist")]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },

    /// The operating system refused a read.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },

    /// The operating system refused a write for another reason than space.
    #[error("cannot write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },

    /// No space is left for a file; nothing half-written stays under its name.
    #[error("disk full while writing {path}")]
    DiskFull {
        /// The file that did not fit.
        path: PathBuf,
    },

    /// A file named directly whose extension says nothing we can read.
    #[error("unknown format of {path}")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// Inputs without a single character of text.
    #[error("no text in {files} input files ({skipped} others skipped)")]
    EmptyCorpus {
        /// Files that were read.
        files: usize,
        /// Files in folders whose extension is unknown.
        skipped: usize,
    },

    /// Bytes that are not UTF-8.
    #[error("{path} is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Where the first bad byte stands in the (decompressed) file.
        offset: u64,
    },

    /// A line that is not a JSON object.
    #[error("{path} line {line} is not a JSON object: {reason}")]
    BadJson {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: u64,
        /// What the parser expected.
        reason: String,
    },

    /// A JSON object without the text field.
    #[error("{path} line {line} has no field `{field}`, only {}", listed(present))]
    FieldMissing {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: u64,
        /// The field that was asked for.
        field: String,
        /// The fields that are there.
        present: Vec<String>,
    },

    /// A text field that holds something else.
    #[error("{path} line {line}: field `{field}` is {found}, not text")]
    FieldNotText {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: u64,
        /// The field that was asked for.
        field: String,
        /// The kind of value it holds.
        found: String,
    },

    /// A Parquet file that cannot be decoded.
    #[error("cannot read Parquet file {path}: {reason}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },

    /// A Parquet file without the text column.
    #[error("{path} has no column `{column}`, only {}", listed(present))]
    ColumnMissing {
        /// The file.
        path: PathBuf,
        /// The column that was asked for.
        column: String,
        /// The columns that are there.
        present: Vec<String>,
    },

    /// A Parquet column that holds something else than text.
    #[error("column `{column}` of {path} is {found}, not text")]
    ColumnNotText {
        /// The file.
        path: PathBuf,
        /// The column that was asked for.
        column: String,
        /// Its type.
        found: String,
    },

    /// An output folder that holds a finished dataset made from something else.
    #[error("{folder} already holds another dataset ({difference})")]
    FolderTaken {
        /// The output folder.
        folder: PathBuf,
        /// What differs.
        difference: String,
    },

    /// A setting outside its range.
    #[error("{name} is {got}, must be {expected}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// As given.
        got: String,
        /// What would be accepted.
        expected: String,
    },

    /// A `tokenizer.json` that cannot be used.
    #[error("{path} is not a usable tokenizer: {reason}")]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A tokenizer that refused a text or a list of tokens.
    #[error("the tokenizer gave up: {reason}")]
    Tokenizer {
        /// The library's reason.
        reason: String,
    },

    /// The caller asked to stop; what was finished stays usable.
    #[error("stopped before the end")]
    Cancelled,

    /// A folder without a manifest.
    #[error("{folder} holds no finished dataset: no manifest.json")]
    ManifestMissing {
        /// The folder.
        folder: PathBuf,
    },

    /// A manifest that contradicts itself or cannot be parsed.
    #[error("{path} is damaged: {reason}")]
    ManifestInvalid {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// A manifest written by another version of this program.
    #[error("{path} has format version {got}, this program reads version {expected}")]
    ManifestVersion {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        got: u64,
        /// Ours.
        expected: u64,
    },

    /// A shard that the manifest lists but the folder lacks.
    #[error("shard {path} is missing")]
    ShardMissing {
        /// The shard.
        path: PathBuf,
    },

    /// A shard of another length than the manifest says.
    #[error("shard {path} has {got} bytes, the manifest says {expected}")]
    ShardLength {
        /// The shard.
        path: PathBuf,
        /// From the manifest.
        expected: u64,
        /// On the disk.
        got: u64,
    },

    /// A shard whose header is not what the manifest describes.
    #[error("shard {path} is damaged: {reason}")]
    ShardInvalid {
        /// The shard.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// A file whose bytes changed since the manifest was written.
    #[error("{path} has changed: digest {got}, the manifest says {expected}")]
    DigestMismatch {
        /// The file.
        path: PathBuf,
        /// From the manifest.
        expected: FileDigest,
        /// Of the bytes on the disk.
        got: FileDigest,
    },

    /// A sequence that fits into no shard.
    #[error("sequences of {length} tokens need {} in one shard, the longest {split} shard of {folder} has {longest}", length + 1)]
    SequenceTooLong {
        /// The dataset.
        folder: PathBuf,
        /// The split that was asked for.
        split: Split,
        /// Tokens a sequence, without the one to predict last.
        length: usize,
        /// Tokens in the longest shard.
        longest: u64,
    },

    /// A window index past the end.
    #[error("window {index} does not exist, there are {count}")]
    WindowOutOfRange {
        /// As asked for.
        index: u64,
        /// How many there are.
        count: u64,
    },

    /// A cursor that does not fit the sources it is used with.
    #[error("the cursor does not fit the data: {reason}")]
    CursorMismatch {
        /// What differs.
        reason: String,
    },

    /// The background thread of a loader ended without a word.
    #[error("the loader has stopped")]
    LoaderStopped,
}

impl DataError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some("check the spelling; relative paths start at the current folder".into()),
            Self::DiskFull { .. } => {
                Some("free some space and run the same command again; `prepare` goes on after the last shard".into())
            }
            Self::Write { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("choose a folder you may write to".into())
            }
            Self::Write { source, .. }
                if matches!(source.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) =>
            {
                Some("a file stands where a folder is needed: choose another folder".into())
            }
            Self::TokenizerFile { .. } => Some(
                "name a `tokenizer.json` of the `tokenizers` library, such as `covey tokenizer train` writes".into(),
            ),
            Self::UnknownFormat { .. } => {
                Some(format!("readable are {}", crate::prepare::readers::KNOWN_EXTENSIONS.join(", ")))
            }
            Self::EmptyCorpus { .. } => Some("name at least one file with text in it".into()),
            Self::NotUtf8 { .. } => Some("convert the file to UTF-8 first, for example with `iconv`".into()),
            Self::FieldMissing { .. } | Self::FieldNotText { .. } => Some("name the field that holds the text".into()),
            Self::ColumnMissing { .. } | Self::ColumnNotText { .. } => {
                Some("name the column that holds the text".into())
            }
            Self::FolderTaken { .. } => Some("choose another output folder or delete this one".into()),
            _ => self.dataset_hint(),
        }
    }

    fn dataset_hint(&self) -> Option<String> {
        match self {
            Self::ManifestMissing { .. } => Some(
                "run `prepare` into this folder; an interrupted one continues where it stopped"
                    .into(),
            ),
            Self::ManifestVersion { .. } | Self::ManifestInvalid { .. } => {
                Some("prepare the dataset again".into())
            }
            Self::ShardMissing { .. }
            | Self::ShardLength { .. }
            | Self::ShardInvalid { .. }
            | Self::DigestMismatch { .. } => Some(
                "copy the file again from its origin, or delete the folder and prepare it again"
                    .into(),
            ),
            Self::SequenceTooLong { longest, .. } => Some(format!(
                "use sequences of at most {} tokens, or more text",
                longest.saturating_sub(1)
            )),
            Self::CursorMismatch { .. } => {
                Some("resume with the same data, or start a new run".into())
            }
            _ => None,
        }
    }

    /// Names the path of a failed read.
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path: path.into() },
            _ => Self::Read { path: path.into(), source },
        }
    }

    /// Names the path of a failed write and tells a full disk from the rest.
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::DiskFull { path: path.into() },
            _ => Self::Write { path: path.into(), source },
        }
    }

    /// A refusal of the `tokenizers` library, whose errors are opaque boxes.
    pub(crate) fn tokenizer(reason: impl std::fmt::Display) -> Self {
        Self::Tokenizer { reason: reason.to_string() }
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_string(),
        _ => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}
