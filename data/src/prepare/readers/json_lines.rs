//! A file with a JSON object on every line.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::documents::DocumentReader;
use super::inputs::InputFile;
use super::json_field::{JsonField, text_field};
use super::text_file::BYTE_ORDER_MARK;
use crate::error::DataError;

/// Reads one document a line; blank lines are passed over.
pub(super) struct JsonLines {
    path: PathBuf,
    field: String,
    reader: Box<dyn BufRead + Send>,
    bytes_read: Arc<AtomicU64>,
    buffer: Vec<u8>,
    /// Number of the line in `buffer`, counted from one.
    line: u64,
    /// Where that line starts in the decompressed file.
    offset: u64,
}

impl JsonLines {
    pub(super) fn open(file: &InputFile, compressed: bool, field: &str) -> Result<Self, DataError> {
        let (reader, bytes_read) = file.open(compressed)?;
        let (path, field) = (file.path.clone(), field.to_string());
        Ok(Self { path, field, reader, bytes_read, buffer: Vec::new(), line: 0, offset: 0 })
    }

    /// Moves on to the next line; false at the end of the file.
    fn next_line(&mut self) -> Result<bool, DataError> {
        self.offset += self.buffer.len() as u64;
        self.line += 1;
        self.buffer.clear();
        let count = self.reader.read_until(b'\n', &mut self.buffer);
        Ok(count.map_err(|source| DataError::read(&self.path, source))? > 0)
    }

    fn text(&self, line: &str) -> Result<String, DataError> {
        let (path, field) = (self.path.clone(), self.field.clone());
        match text_field(line, &self.field) {
            Ok(JsonField::Text(text)) => Ok(text),
            // An explicit null is a document without text, as crawls have them.
            Ok(JsonField::Null) => Ok(String::new()),
            Ok(JsonField::Other(found)) => Err(DataError::FieldNotText {
                path,
                line: self.line,
                field,
                found: found.to_string(),
            }),
            Ok(JsonField::Missing(present)) => {
                Err(DataError::FieldMissing { path, line: self.line, field, present })
            }
            Err(reason) => Err(DataError::BadJson { path, line: self.line, reason }),
        }
    }
}

impl DocumentReader for JsonLines {
    fn next_document(&mut self) -> Result<Option<String>, DataError> {
        while self.next_line()? {
            let line = str::from_utf8(&self.buffer).map_err(|error| DataError::NotUtf8 {
                path: self.path.clone(),
                offset: self.offset + error.valid_up_to() as u64,
            })?;
            let line = line.trim_start_matches(BYTE_ORDER_MARK).trim();
            if !line.is_empty() {
                return self.text(line).map(Some);
            }
        }
        Ok(None)
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }
}
