//! The documents of all inputs, one after the other.

use serde::{Deserialize, Serialize};

use super::format::Format;
use super::inputs::{InputFile, InputFiles};
use super::json_lines::JsonLines;
use super::parquet::ParquetColumn;
use super::text_file::TextFile;
use crate::error::DataError;

/// A file being read.
pub(super) trait DocumentReader: Send {
    /// The next document, or nothing at the end.
    fn next_document(&mut self) -> Result<Option<String>, DataError>;

    /// Bytes of the file behind us, about.
    fn bytes_read(&self) -> u64;
}

/// A place between two documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocumentPosition {
    /// Index of the file.
    pub(super) file: usize,
    /// Documents read from it.
    pub(super) document: u64,
}

/// Iterates over the text of every document; ends after the first error.
///
/// Memory is that of one document.
pub struct Documents<'a> {
    inputs: &'a InputFiles,
    position: DocumentPosition,
    reader: Option<Box<dyn DocumentReader>>,
    finished_bytes: u64,
    failed: bool,
}

impl<'a> Documents<'a> {
    pub(super) fn new(inputs: &'a InputFiles) -> Self {
        Self {
            inputs,
            position: DocumentPosition::default(),
            reader: None,
            finished_bytes: 0,
            failed: false,
        }
    }

    /// Starts behind documents that were read before; those of the same file are read again and dropped.
    pub(crate) fn starting_at(
        inputs: &'a InputFiles,
        position: DocumentPosition,
    ) -> Result<Self, DataError> {
        let mut documents = Self::new(inputs);
        documents.position.file = position.file;
        documents.finished_bytes =
            inputs.files.iter().take(position.file).map(|file| file.bytes).sum();
        while documents.position.file == position.file
            && documents.position.document < position.document
        {
            if documents.next().transpose()?.is_none() {
                break;
            }
        }
        Ok(documents)
    }

    /// The place behind the last document.
    pub(crate) fn place(&self) -> DocumentPosition {
        self.position
    }

    /// Bytes of the inputs behind us, compressed ones as they are.
    pub fn bytes_read(&self) -> u64 {
        self.finished_bytes + self.reader.as_ref().map_or(0, |reader| reader.bytes_read())
    }

    fn read(&mut self) -> Result<Option<String>, DataError> {
        while let Some(file) = self.inputs.files.get(self.position.file) {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                closed => closed.insert(open(file, self.inputs.text_field())?),
            };
            if let Some(text) = reader.next_document()? {
                self.position.document += 1;
                return Ok(Some(text));
            }
            self.reader = None;
            self.finished_bytes += file.bytes;
            self.position = DocumentPosition { file: self.position.file + 1, document: 0 };
        }
        Ok(None)
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<String, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let document = self.read();
        self.failed = document.is_err();
        document.transpose()
    }
}

impl std::fmt::Debug for Documents<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Documents")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

fn open(file: &InputFile, text_field: &str) -> Result<Box<dyn DocumentReader>, DataError> {
    Ok(match file.format {
        Format::Text { compressed } => Box::new(TextFile::open(file, compressed)?),
        Format::JsonLines { compressed } => {
            Box::new(JsonLines::open(file, compressed, text_field)?)
        }
        Format::Parquet => Box::new(ParquetColumn::open(file, text_field)?),
    })
}
