//! The error of this crate, from a text file to a batch of tokens.
//!
//! It holds paths, numbers and text only, so every room can return it and it imports none of them.

mod hint;

use std::io;
use std::path::{Path, PathBuf};

/// The one error of this crate; each variant carries what its reader needs to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A missing input or dataset.
    #[error("{path} does not exist")]
    NotFound {
        /// The requested path.
        path: PathBuf,
    },

    /// A read that the operating system refused.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },

    /// A write that the operating system refused for another reason than space.
    #[error("cannot write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },

    /// No space is left for a file; no partial file remains under its name.
    #[error("disk full while writing {path}")]
    DiskFull {
        /// The file that did not fit.
        path: PathBuf,
    },

    /// The state of an interrupted preparation exists but cannot be read.
    #[error("cannot read {path}, part of an interrupted preparation")]
    ResumeStateUnreadable {
        /// The state, or a shard that it lists.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },

    /// An input file with an unknown extension.
    #[error("unknown format of {path}")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The known extensions, separated by commas.
        known: String,
    },

    /// Inputs without a single character of text.
    #[error("no text in {files} input files ({skipped} others skipped)")]
    EmptyCorpus {
        /// Files that were read.
        files: usize,
        /// Files in folders that were left out because of their names.
        skipped: usize,
    },

    /// Bytes that are not UTF-8.
    #[error("{path} is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Offset of the first invalid byte in the decompressed file.
        offset: u64,
    },

    /// A line that does not fit in the memory set aside for it.
    #[error("{path} line {line} is longer than {limit} bytes")]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: u64,
        /// The longest line that is read.
        limit: u64,
    },

    /// A text file that is longer, when decompressed, than one document may be.
    #[error("{path} holds more than {limit} bytes of text")]
    TextTooLong {
        /// The file.
        path: PathBuf,
        /// The longest text that is read as one document.
        limit: u64,
    },

    /// A line that is not a JSON object.
    #[error("{path} line {line} is not a JSON object: {reason}")]
    BadJson {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: u64,
        /// The parser's reason.
        reason: String,
    },

    /// A JSON object without the text field.
    #[error("{path} line {line} has no field `{field}`, only {}", listed(present))]
    FieldMissing {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: u64,
        /// The requested field.
        field: String,
        /// The fields of the object.
        present: Vec<String>,
    },

    /// A text field with a value of another type.
    #[error("{path} line {line}: field `{field}` is {found}, not text")]
    FieldNotText {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: u64,
        /// The requested field.
        field: String,
        /// The type of its value.
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
        /// The requested column.
        column: String,
        /// The columns of the file.
        present: Vec<String>,
    },

    /// A Parquet column of another type than text.
    #[error("column `{column}` of {path} is {found}, not text")]
    ColumnNotText {
        /// The file.
        path: PathBuf,
        /// The requested column.
        column: String,
        /// Its type.
        found: String,
    },

    /// An output folder with a finished dataset made from something else.
    #[error("{folder} already holds another dataset ({difference})")]
    FolderTaken {
        /// The output folder.
        folder: PathBuf,
        /// The first difference.
        difference: String,
    },

    /// A setting outside its range.
    #[error("{name} is {got}, must be {expected}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// The given value.
        got: String,
        /// The accepted values.
        expected: String,
    },

    /// A `tokenizer.json` that cannot be used.
    #[error("{path} is not a usable tokenizer: {reason}")]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        reason: String,
    },

    /// A tokenizer that failed on a text or on a list of tokens.
    #[error("the tokenizer failed: {reason}")]
    Tokenizer {
        /// The library's reason.
        reason: String,
    },

    /// The caller asked to stop; finished shards stay usable.
    #[error("stopped before the end")]
    Cancelled,

    /// A folder without a manifest.
    #[error("{folder} is not a finished dataset: it has no manifest.json")]
    ManifestMissing {
        /// The folder.
        folder: PathBuf,
    },

    /// A manifest that contradicts itself or cannot be parsed.
    #[error("{path} is damaged: {reason}")]
    ManifestInvalid {
        /// The manifest.
        path: PathBuf,
        /// The first contradiction.
        reason: String,
    },

    /// A manifest of another format version.
    #[error("{path} has format version {got}, this program reads version {expected}")]
    ManifestVersion {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        got: u64,
        /// The version that this program writes.
        expected: u64,
    },

    /// A shard that the manifest lists but the folder lacks.
    #[error("shard {path} is missing")]
    ShardMissing {
        /// The shard.
        path: PathBuf,
    },

    /// A shard of another length than in the manifest.
    #[error("shard {path} has {got} bytes, the manifest lists {expected}")]
    ShardLength {
        /// The shard.
        path: PathBuf,
        /// From the manifest.
        expected: u64,
        /// On disk.
        got: u64,
    },

    /// A shard with a header that does not match the manifest.
    #[error("shard {path} is damaged: {reason}")]
    ShardInvalid {
        /// The shard.
        path: PathBuf,
        /// The first difference.
        reason: String,
    },

    /// A file that changed after the manifest was written.
    #[error("{path} has changed: its digest is {got}, the manifest lists {expected}")]
    DigestMismatch {
        /// The file.
        path: PathBuf,
        /// From the manifest, in hexadecimal digits.
        expected: String,
        /// Of the bytes on disk, in hexadecimal digits.
        got: String,
    },

    /// A sequence that is longer than every shard.
    #[error(
        "sequences of {length} tokens need {} in one shard, \
         the longest {split} shard of {folder} has {longest}",
        length + 1
    )]
    SequenceTooLong {
        /// The dataset.
        folder: PathBuf,
        /// Name of the requested split.
        split: &'static str,
        /// Tokens in a sequence, without the one that follows it.
        length: usize,
        /// Tokens in the longest shard.
        longest: u64,
    },

    /// A window index past the end.
    #[error("window {index} does not exist, there are {count}")]
    WindowOutOfRange {
        /// The requested index.
        index: u64,
        /// Number of windows.
        count: u64,
    },

    /// A cursor that was made for other sources.
    #[error("the cursor does not match the data: {reason}")]
    CursorMismatch {
        /// The first difference.
        reason: String,
    },

    /// The background thread of a loader has ended.
    #[error("the loader has stopped")]
    LoaderStopped,
}

impl DataError {
    /// A failed read of `path`.
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            // The most common mistake; the text of the system would only repeat it.
            io::ErrorKind::NotFound => Self::NotFound { path: path.into() },
            _ => Self::Read { path: path.into(), source },
        }
    }

    /// A failed write of `path`. A full disk has a separate variant, because its hint differs.
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            // A quota and `ulimit -f` look like a full disk to the user.
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::DiskFull { path: path.into() },
            _ => Self::Write { path: path.into(), source },
        }
    }

    /// A failure inside the `tokenizers` library, which returns boxed errors without a type.
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
