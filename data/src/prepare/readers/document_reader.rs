//! The trait of all file formats.

use crate::error::DataError;

/// The documents of one open file.
pub(super) trait DocumentReader: Send {
    /// The next document, or `None` at the end of the file.
    fn next_document(&mut self) -> Result<Option<String>, DataError>;

    /// Approximate number of bytes read from the file, before decompression.
    fn bytes_read(&self) -> u64;
}
