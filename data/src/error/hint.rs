//! The hint of each error: one instruction to the user, or none.

use std::io;

use super::DataError;

impl DataError {
    /// Advice to the user, if there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownFormat { known, .. } => {
                Some(format!("use a file with one of the extensions {known}"))
            }
            Self::SequenceTooLong { longest, .. } => Some(format!(
                "use sequences of at most {} tokens, or more text",
                longest.saturating_sub(1)
            )),
            Self::Write { source, .. } => write_hint(source.kind()).map(String::from),
            _ => self.input_hint().or_else(|| self.dataset_hint()).map(String::from),
        }
    }

    fn input_hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotFound { .. } => {
                "check the spelling; relative paths start at the current folder"
            }
            Self::TokenizerFile { .. } => {
                "name a `tokenizer.json` of the `tokenizers` library, \
                 such as `covey tokenizer train` writes"
            }
            Self::EmptyCorpus { .. } => "name at least one file with text in it",
            Self::NotUtf8 { .. } => "convert the file to UTF-8 first, for example with `iconv`",
            Self::LineTooLong { .. } => {
                "divide the document into several lines, or check that each line of the file \
                 is one JSON object"
            }
            Self::TextTooLong { .. } => "split the file, or convert it to JSON lines",
            Self::FieldMissing { .. } | Self::FieldNotText { .. } => {
                "name the field that holds the text"
            }
            Self::ColumnMissing { .. } | Self::ColumnNotText { .. } => {
                "name the column that holds the text"
            }
            _ => return None,
        })
    }

    fn dataset_hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::DiskFull { .. } => {
                "free some space and run the same command again; \
                 `covey prepare` continues after the last shard"
            }
            Self::ResumeStateUnreadable { .. } => {
                "make the file readable, or delete the folder to start again"
            }
            Self::FolderTaken { .. } => "choose another output folder or delete this one",
            Self::ManifestMissing { .. } => {
                "run `covey prepare` with this output folder; \
                 an interrupted preparation continues where it stopped"
            }
            Self::ManifestVersion { .. } | Self::ManifestInvalid { .. } => {
                "prepare the dataset again"
            }
            Self::ShardMissing { .. }
            | Self::ShardLength { .. }
            | Self::ShardInvalid { .. }
            | Self::DigestMismatch { .. } => {
                "copy the file again from its origin, or delete the folder and prepare it again"
            }
            Self::CursorMismatch { .. } => "resume with the same data, or start a new run",
            _ => return None,
        })
    }
}

fn write_hint(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::PermissionDenied => Some("choose a folder you may write to"),
        // Creating a folder fails in these two ways if a part of its path is a file.
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            Some("choose another folder: a part of this path is a file")
        }
        _ => None,
    }
}
