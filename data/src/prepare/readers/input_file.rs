//! One input file and how it is opened.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::Format;
use crate::error::DataError;
use crate::io::FileDigest;
use crate::prepare::builtin_corpus::CorpusFile;

/// Bytes of one read from a file. Larger reads are not faster, and smaller ones cost system calls.
const READ_BYTES: usize = 1 << 18;

/// A file on disk, or one that is part of the program.
#[derive(Debug, Clone)]
pub(super) struct InputFile {
    /// Its name below the folder that was given, with `/` as separator: equal on every machine.
    pub(super) name: String,
    /// The path for messages, and for opening a file on disk.
    pub(super) path: PathBuf,
    /// The contents of a file that is part of the program.
    embedded: Option<&'static [u8]>,
    pub(super) format: Format,
    /// Size of the file, before decompression.
    pub(super) bytes: u64,
}

/// An open input: a reader of the decompressed bytes, and the number of bytes taken from the file.
pub(super) type OpenInput = (Box<dyn BufRead + Send>, Arc<AtomicU64>);

impl InputFile {
    /// A file on disk.
    pub(super) fn on_disk(name: String, path: PathBuf, format: Format, bytes: u64) -> Self {
        Self { name, path, embedded: None, format, bytes }
    }

    /// A file of the built-in corpus.
    pub(super) fn embedded(file: &CorpusFile) -> Self {
        Self {
            name: file.name.to_string(),
            path: Path::new("(embedded)").join(file.name),
            embedded: Some(file.bytes),
            // Every file of the corpus has this format.
            format: Format::JsonLines { compressed: true },
            bytes: file.bytes.len() as u64,
        }
    }

    /// The digest of the contents, before decompression.
    pub(super) fn digest(&self) -> Result<FileDigest, DataError> {
        match self.embedded {
            Some(bytes) => Ok(FileDigest::of(bytes)),
            None => FileDigest::of_file(&self.path).map_err(|source| self.unreadable(source)),
        }
    }

    /// Opens the file and decompresses it if necessary.
    pub(super) fn open(&self, compressed: bool) -> Result<OpenInput, DataError> {
        self.open_stream(compressed).map_err(|source| self.unreadable(source))
    }

    fn open_stream(&self, compressed: bool) -> io::Result<OpenInput> {
        let inner: Box<dyn Read + Send> = match self.embedded {
            Some(bytes) => Box::new(bytes),
            None => Box::new(File::open(&self.path)?),
        };
        let count = Arc::new(AtomicU64::new(0));
        let counting = CountingReader { inner, count: count.clone() };
        let buffered = BufReader::with_capacity(READ_BYTES, counting);
        if !compressed {
            return Ok((Box::new(buffered), count));
        }
        let mut decoder = zstd::Decoder::with_buffer(buffered)?;
        // Corpora are often compressed with `--long`; by default the library refuses windows over
        // 128 MiB. 31 is the largest value of the format, a window of 2 GiB.
        decoder.window_log_max(31)?;
        // The decoder emits small blocks, and readers of lines need a buffer.
        Ok((Box::new(BufReader::with_capacity(READ_BYTES, decoder)), count))
    }

    fn unreadable(&self, source: io::Error) -> DataError {
        DataError::read(&self.path, source)
    }
}

/// Counts bytes below the decompressor: sizes of files, and so progress, are those on disk.
struct CountingReader {
    inner: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for CountingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
