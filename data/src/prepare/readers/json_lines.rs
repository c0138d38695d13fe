//! A file with one JSON object on each line.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::document_reader::DocumentReader;
use super::input_file::InputFile;
use super::json_field::{JsonField, text_field};
use super::text_file::BYTE_ORDER_MARK;
use crate::error::DataError;
use crate::io::{BoundedRead, read_line};

/// Reads one document from each line; blank lines are skipped.
pub(super) struct JsonLines {
    path: PathBuf,
    field: String,
    reader: Box<dyn BufRead + Send>,
    bytes_read: Arc<AtomicU64>,
    /// Longest line that is read, in bytes.
    max_line_bytes: u64,
    buffer: Vec<u8>,
    /// Number of the line in `buffer`, counted from one.
    line: u64,
    /// Offset of that line in the decompressed file.
    offset: u64,
}

impl JsonLines {
    /// Opens a file; a line of more than `max_line_bytes` after decompression will be an error.
    pub(super) fn open(
        file: &InputFile,
        compressed: bool,
        field: &str,
        max_line_bytes: u64,
    ) -> Result<Self, DataError> {
        let (reader, bytes_read) = file.open(compressed)?;
        Ok(Self {
            path: file.path.clone(),
            field: field.to_string(),
            reader,
            bytes_read,
            max_line_bytes,
            buffer: Vec::new(),
            line: 0,
            offset: 0,
        })
    }

    /// Reads the next line into the buffer; returns false at the end of the file.
    fn next_line(&mut self) -> Result<bool, DataError> {
        self.offset += self.buffer.len() as u64;
        self.line += 1;
        self.buffer.clear();
        match read_line(&mut self.reader, self.max_line_bytes, &mut self.buffer) {
            Ok(BoundedRead::Complete(count)) => Ok(count > 0),
            Ok(BoundedRead::OverLimit) => {
                let (path, line, limit) = (self.path.clone(), self.line, self.max_line_bytes);
                Err(DataError::LineTooLong { path, line, limit })
            }
            Err(source) => Err(DataError::read(&self.path, source)),
        }
    }

    fn text(&self, line: &str) -> Result<String, DataError> {
        let (path, field) = (self.path.clone(), self.field.clone());
        match text_field(line, &self.field) {
            Ok(JsonField::Text(text)) => Ok(text),
            // Web crawls write null for a page without text.
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
            // Before parsing, because the parser knows no offset in the file.
            let line = str::from_utf8(&self.buffer).map_err(|error| DataError::NotUtf8 {
                path: self.path.clone(),
                offset: self.offset + error.valid_up_to() as u64,
            })?;
            // On every line, because files are often concatenated, each with a mark.
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::prepare::readers::InputFiles;

    const LIMIT: u64 = 1000;

    /// The documents of a file up to the first error, and that error.
    fn read(path: &Path, compressed: bool) -> (Vec<String>, Option<DataError>) {
        let inputs = InputFiles::find(&[path.to_path_buf()], "text").unwrap();
        let mut reader = JsonLines::open(&inputs.files[0], compressed, "text", LIMIT).unwrap();
        let mut documents = Vec::new();
        loop {
            match reader.next_document() {
                Ok(Some(document)) => documents.push(document),
                Ok(None) => return (documents, None),
                Err(error) => return (documents, Some(error)),
            }
        }
    }

    fn line(bytes: usize) -> String {
        let frame = r#"{"text":""}"#;
        frame.replace(r#""""#, &format!("\"{}\"", "a".repeat(bytes - frame.len()))) + "\n"
    }

    #[test]
    fn a_line_over_the_limit_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, line(1000) + "\n" + &line(1001) + &line(20)).unwrap();
        let (documents, error) = read(&path, false);
        assert_eq!(documents.len(), 1);
        let error = error.unwrap();
        assert!(matches!(error, DataError::LineTooLong { line: 3, limit: LIMIT, .. }), "{error}");
        let expected = format!("{} line 3 is longer than 1000 bytes", path.display());
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_line_is_measured_after_decompression_and_not_collected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl.zst");
        let lines = line(1000) + &line(50_000_000);
        fs::write(&path, zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap();
        let inputs = InputFiles::find(&[path], "text").unwrap();
        let mut reader = JsonLines::open(&inputs.files[0], true, "text", LIMIT).unwrap();
        assert!(reader.next_document().unwrap().is_some());
        let error = reader.next_document().unwrap_err();
        assert!(matches!(error, DataError::LineTooLong { line: 2, .. }), "{error}");
        assert!(reader.buffer.capacity() <= 4 * LIMIT as usize, "{}", reader.buffer.capacity());
    }
}
