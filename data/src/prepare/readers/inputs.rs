//! The files a dataset is made from.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use walkdir::WalkDir;

use super::documents::Documents;
use super::format::Format;
use crate::error::DataError;
use crate::io::FileDigest;
use crate::prepare::builtin_corpus;
use crate::prepare::builtin_corpus::CorpusFile;

/// Bytes read from a file at once.
const READ_BYTES: usize = 1 << 18;

/// Files with documents, in the order in which they are read.
#[derive(Debug, Clone)]
pub struct InputFiles {
    pub(super) files: Vec<InputFile>,
    skipped: usize,
    text_field: String,
}

/// One file, on the disk or in the program.
#[derive(Debug, Clone)]
pub(super) struct InputFile {
    /// Its name below the folder that was given, with `/` between the parts: the same on every machine.
    name: String,
    /// For messages, and for opening when it is on the disk.
    pub(super) path: PathBuf,
    embedded: Option<&'static [u8]>,
    pub(super) format: Format,
    pub(super) bytes: u64,
}

impl InputFiles {
    /// Files as they are given and the files below folders in the order of their names.
    ///
    /// `text_field` names the JSON field or the Parquet column that holds the text. A file that is given directly must
    /// have one of [`super::format::KNOWN_EXTENSIONS`]; in folders other files, and those whose name starts with a dot, are
    /// left out and counted.
    pub fn find(paths: &[PathBuf], text_field: &str) -> Result<Self, DataError> {
        let mut inputs = Self { files: Vec::new(), skipped: 0, text_field: text_field.to_string() };
        for path in paths {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => inputs.add_folder(path)?,
                Ok(metadata) => inputs.add_file(path, metadata.len())?,
                Err(source) => return Err(DataError::read(path, source)),
            }
        }
        Ok(inputs)
    }

    /// The prose that the program carries, see [`crate::prepare::builtin_corpus`].
    pub fn embedded() -> Self {
        let files = builtin_corpus::FILES.iter().map(InputFile::embedded).collect();
        Self { files, skipped: 0, text_field: "text".to_string() }
    }

    /// Number of files to read.
    pub fn num_files(&self) -> usize {
        self.files.len()
    }

    /// Number of files in folders that are left out because of their names.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Bytes of all files, compressed ones as they are.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Reads the documents of all files in order.
    pub fn documents(&self) -> Documents<'_> {
        Documents::new(self)
    }

    pub(super) fn text_field(&self) -> &str {
        &self.text_field
    }

    /// Digest of all names and contents. Hashing is a hundred times faster than tokenising, so it is worth being sure.
    pub(crate) fn digest(&self) -> Result<FileDigest, DataError> {
        let digests: Result<Vec<_>, DataError> =
            self.files.par_iter().map(InputFile::digest).collect();
        let mut description = format!("{}\n", self.text_field);
        for (file, digest) in self.files.iter().zip(digests?) {
            description.push_str(&format!("{digest} {} {:?}\n", file.bytes, file.name));
        }
        Ok(FileDigest::of(description.as_bytes()))
    }

    fn add_file(&mut self, path: &Path, bytes: u64) -> Result<(), DataError> {
        let format =
            Format::of(path).ok_or_else(|| DataError::UnknownFormat { path: path.into() })?;
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        self.files.push(InputFile { name, path: path.into(), embedded: None, format, bytes });
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path) -> Result<(), DataError> {
        for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
            let entry = entry.map_err(|error| walk_error(folder, error))?;
            if !entry.file_type().is_file() {
                continue;
            }
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            match Format::of(entry.path()).filter(|_| !hidden) {
                Some(format) => {
                    let bytes =
                        entry.metadata().map_err(|error| walk_error(entry.path(), error))?.len();
                    let name = name_below(folder, entry.path());
                    self.files.push(InputFile {
                        name,
                        path: entry.into_path(),
                        embedded: None,
                        format,
                        bytes,
                    });
                }
                None => self.skipped += 1,
            }
        }
        Ok(())
    }
}

impl InputFile {
    fn embedded(file: &CorpusFile) -> Self {
        Self {
            name: file.name.to_string(),
            path: Path::new("(embedded)").join(file.name),
            embedded: Some(file.bytes),
            // Both embedded files are of this form.
            format: Format::JsonLines { compressed: true },
            bytes: file.bytes.len() as u64,
        }
    }

    fn digest(&self) -> Result<FileDigest, DataError> {
        match self.embedded {
            Some(bytes) => Ok(FileDigest::of(bytes)),
            None => FileDigest::of_file(&self.path),
        }
    }

    /// Opens the file, decompressed if need be; the counter follows the bytes taken from the disk.
    pub(super) fn open(
        &self,
        compressed: bool,
    ) -> Result<(Box<dyn io::BufRead + Send>, Arc<AtomicU64>), DataError> {
        let named = |source| DataError::read(&self.path, source);
        let raw: Box<dyn Read + Send> = match self.embedded {
            Some(bytes) => Box::new(bytes),
            None => Box::new(File::open(&self.path).map_err(named)?),
        };
        let count = Arc::new(AtomicU64::new(0));
        let counted = BufReader::with_capacity(
            READ_BYTES,
            CountingReader { inner: raw, count: count.clone() },
        );
        if !compressed {
            return Ok((Box::new(counted), count));
        }
        let mut decoder = zstd::Decoder::with_buffer(counted).map_err(named)?;
        // Corpora are often packed with `--long`, whose windows the library refuses unless told otherwise.
        decoder.window_log_max(31).map_err(named)?;
        Ok((Box::new(BufReader::with_capacity(READ_BYTES, decoder)), count))
    }
}

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

fn name_below(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn walk_error(folder: &Path, error: walkdir::Error) -> DataError {
    let path = error.path().unwrap_or(folder).to_path_buf();
    DataError::read(&path, error.into())
}
