//! Which extension means what.

use std::path::Path;

/// Extensions of files that can be read.
pub const KNOWN_EXTENSIONS: [&str; 6] =
    [".txt", ".txt.zst", ".jsonl", ".jsonl.zst", ".json.zst", ".parquet"];

/// How documents stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The whole file is one document.
    Text { compressed: bool },
    /// Each line is a JSON object with one document.
    JsonLines { compressed: bool },
    /// Each row is one document.
    Parquet,
}

impl Format {
    /// The format that a file's name promises, if it is a known one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let extension = KNOWN_EXTENSIONS.into_iter().find(|extension| name.ends_with(extension))?;
        let compressed = extension.ends_with(".zst");
        Some(match extension {
            ".txt" | ".txt.zst" => Self::Text { compressed },
            ".parquet" => Self::Parquet,
            _ => Self::JsonLines { compressed },
        })
    }
}
