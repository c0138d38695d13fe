//! The file formats and their extensions.

use std::path::Path;

/// The extensions of files that can be read.
pub const KNOWN_EXTENSIONS: [&str; 6] =
    [".txt", ".txt.zst", ".jsonl", ".jsonl.zst", ".json.zst", ".parquet"];

/// The layout of the documents in a file.
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
    /// The format of a file by the extension of its name, or `None` for an unknown extension.
    pub(super) fn of(path: &Path) -> Option<Self> {
        // Some systems write extensions in upper case.
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        // No extension is the end of another one, so the order of the list does not matter.
        let extension = KNOWN_EXTENSIONS.into_iter().find(|extension| name.ends_with(extension))?;
        let compressed = extension.ends_with(".zst");
        Some(match extension {
            ".txt" | ".txt.zst" => Self::Text { compressed },
            ".parquet" => Self::Parquet,
            _ => Self::JsonLines { compressed },
        })
    }
}
