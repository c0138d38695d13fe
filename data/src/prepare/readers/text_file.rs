//! A text file, which is one document.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::document_reader::DocumentReader;
use super::input_file::InputFile;
use crate::error::DataError;
use crate::io::{BoundedRead, read_to_end};

/// Some editors put this character before a text to mark it as UTF-8.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads a whole file as one document.
pub(super) struct TextFile {
    path: PathBuf,
    /// `None` once the document has been read.
    reader: Option<Box<dyn BufRead + Send>>,
    bytes_read: Arc<AtomicU64>,
    /// Longest text that is read, in bytes.
    max_bytes: u64,
}

impl TextFile {
    /// Opens a file; a text of more than `max_bytes` after decompression will be an error.
    pub(super) fn open(
        file: &InputFile,
        compressed: bool,
        max_bytes: u64,
    ) -> Result<Self, DataError> {
        let (reader, bytes_read) = file.open(compressed)?;
        Ok(Self { path: file.path.clone(), reader: Some(reader), bytes_read, max_bytes })
    }
}

impl DocumentReader for TextFile {
    fn next_document(&mut self) -> Result<Option<String>, DataError> {
        // The file is one document, so the second call is at the end.
        let Some(mut reader) = self.reader.take() else { return Ok(None) };
        let mut bytes = Vec::new();
        let outcome = read_to_end(&mut reader, self.max_bytes, &mut bytes)
            .map_err(|source| DataError::read(&self.path, source))?;
        if outcome == BoundedRead::OverLimit {
            let (path, limit) = (self.path.clone(), self.max_bytes);
            return Err(DataError::TextTooLong { path, limit });
        }
        let text = String::from_utf8(bytes).map_err(|error| DataError::NotUtf8 {
            path: self.path.clone(),
            offset: error.utf8_error().valid_up_to() as u64,
        })?;
        Ok(Some(text.strip_prefix(BYTE_ORDER_MARK).map(String::from).unwrap_or(text)))
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::readers::InputFiles;

    #[test]
    fn a_text_over_the_limit_is_an_error_also_when_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, packed) = (folder.path().join("a.txt"), folder.path().join("b.txt.zst"));
        std::fs::write(&plain, "a".repeat(1000)).unwrap();
        std::fs::write(&packed, zstd::encode_all([b'a'; 1000].as_slice(), 3).unwrap()).unwrap();
        for (path, compressed) in [(plain, false), (packed, true)] {
            let inputs = InputFiles::find(&[path], "text").unwrap();
            let mut fits = TextFile::open(&inputs.files[0], compressed, 1000).unwrap();
            assert_eq!(fits.next_document().unwrap().unwrap().len(), 1000);
            let mut longer = TextFile::open(&inputs.files[0], compressed, 999).unwrap();
            let error = longer.next_document().unwrap_err();
            assert!(matches!(error, DataError::TextTooLong { limit: 999, .. }), "{error}");
            assert!(error.hint().is_some());
        }
    }
}
