//! A file that is one document.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::documents::DocumentReader;
use super::inputs::InputFile;
use crate::error::DataError;

/// Some editors put this before the text to say that it is UTF-8.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads a whole file as one document.
pub(super) struct TextFile {
    path: PathBuf,
    /// Taken by the one read.
    reader: Option<Box<dyn BufRead + Send>>,
    bytes_read: Arc<AtomicU64>,
}

impl TextFile {
    pub(super) fn open(file: &InputFile, compressed: bool) -> Result<Self, DataError> {
        let (reader, bytes_read) = file.open(compressed)?;
        Ok(Self { path: file.path.clone(), reader: Some(reader), bytes_read })
    }
}

impl DocumentReader for TextFile {
    fn next_document(&mut self) -> Result<Option<String>, DataError> {
        let Some(mut reader) = self.reader.take() else { return Ok(None) };
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|source| DataError::read(&self.path, source))?;
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
