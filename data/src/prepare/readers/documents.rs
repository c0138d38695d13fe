//! The documents of all inputs in order.

use serde::{Deserialize, Serialize};

use super::document_reader::DocumentReader;
use super::format::Format;
use super::input_file::InputFile;
use super::inputs::InputFiles;
use super::json_lines::JsonLines;
use super::parquet::ParquetColumn;
use super::text_file::TextFile;
use crate::error::DataError;

/// The longest line of JSON that is read, 1 GiB.
///
/// *War and Peace* has 3 MB, so a longer line is not a document but a file without line ends or a
/// decompression bomb. A line of this length needs about 3 GiB while it is parsed.
const MAX_LINE_BYTES: u64 = 1 << 30;

/// The longest text file that is read as one document, 16 GiB after decompression.
///
/// Whole corpora are published as one text file: enwik9 has 1 GB, TinyStories 2 GB.
const MAX_TEXT_BYTES: u64 = 1 << 34;

/// A position between two documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocumentPosition {
    /// Index of the file.
    pub(super) file: usize,
    /// Number of documents read from it.
    pub(super) document: u64,
}

/// An iterator over the texts of all documents; it ends after the first error.
///
/// It keeps one document in memory.
pub struct Documents<'a> {
    inputs: &'a InputFiles,
    position: DocumentPosition,
    reader: Option<Box<dyn DocumentReader>>,
    finished_bytes: u64,
    failed: bool,
}

impl InputFiles {
    /// Reads the documents of all files in order.
    pub fn documents(&self) -> Documents<'_> {
        Documents::new(self)
    }
}

impl<'a> Documents<'a> {
    fn new(inputs: &'a InputFiles) -> Self {
        Self {
            inputs,
            position: DocumentPosition::default(),
            reader: None,
            finished_bytes: 0,
            failed: false,
        }
    }

    /// Starts after documents that an earlier run has read.
    ///
    /// Earlier documents of the same file are read again and dropped, because a compressed file has
    /// no offset to start from.
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

    /// The position after the last document.
    pub(crate) fn current_position(&self) -> DocumentPosition {
        self.position
    }

    /// Bytes of the inputs that have been read, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.finished_bytes + self.reader.as_ref().map_or(0, |reader| reader.bytes_read())
    }

    fn read(&mut self) -> Result<Option<String>, DataError> {
        while let Some(file) = self.inputs.files.get(self.position.file) {
            // Opened only now: a system allows about a thousand open files, a corpus can have more.
            let reader = match &mut self.reader {
                Some(reader) => reader,
                closed => closed.insert(open(file, self.inputs.text_field())?),
            };
            if let Some(text) = reader.next_document()? {
                self.position.document += 1;
                return Ok(Some(text));
            }
            self.reader = None;
            // The size, because a reader's own count can stop before trailing bytes of the file.
            self.finished_bytes += file.bytes;
            self.position = DocumentPosition { file: self.position.file + 1, document: 0 };
        }
        Ok(None)
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<String, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        // A damaged file can return the same error on every call; a loop over it must end.
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
        Format::Text { compressed } => Box::new(TextFile::open(file, compressed, MAX_TEXT_BYTES)?),
        Format::JsonLines { compressed } => {
            Box::new(JsonLines::open(file, compressed, text_field, MAX_LINE_BYTES)?)
        }
        Format::Parquet => Box::new(ParquetColumn::open(file, text_field)?),
    })
}
