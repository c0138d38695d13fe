//! The list of files from which a dataset is made.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use walkdir::{DirEntry, WalkDir};

use super::format::{Format, KNOWN_EXTENSIONS};
use super::input_file::InputFile;
use crate::error::DataError;
use crate::io::FileDigest;
use crate::prepare::builtin_corpus;

/// Files with documents, in the order in which they are read.
#[derive(Debug, Clone)]
pub struct InputFiles {
    pub(super) files: Vec<InputFile>,
    skipped: usize,
    text_field: String,
}

impl InputFiles {
    /// The given files, and the files below the given folders in the order of their names.
    ///
    /// `text_field` names the JSON field or the Parquet column that holds the text. A file that is
    /// given directly must have one of the [`KNOWN_EXTENSIONS`]. In folders, other files and hidden
    /// files are left out and counted.
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

    /// The prose that is part of the program, see [`crate::prepare::builtin_corpus`].
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

    /// Bytes of all files, before decompression.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(super) fn text_field(&self) -> &str {
        &self.text_field
    }

    /// Digest of all names and contents.
    pub(crate) fn digest(&self) -> Result<FileDigest, DataError> {
        // Of the contents, not of times and sizes: hashing is about a hundred times faster than
        // tokenising, and a changed input that goes unnoticed would damage the dataset.
        let digests: Result<Vec<_>, DataError> =
            self.files.par_iter().map(InputFile::digest).collect();
        let mut description = format!("{}\n", self.text_field);
        for (file, digest) in self.files.iter().zip(digests?) {
            // Quoted: a name with a line break must not look like two files.
            description.push_str(&format!("{digest} {} {:?}\n", file.bytes, file.name));
        }
        Ok(FileDigest::of(description.as_bytes()))
    }

    fn add_file(&mut self, path: &Path, bytes: u64) -> Result<(), DataError> {
        let Some(format) = Format::of(path) else {
            let known = KNOWN_EXTENSIONS.join(", ");
            return Err(DataError::UnknownFormat { path: path.into(), known });
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.files.push(InputFile::on_disk(name, path.into(), format, bytes));
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path) -> Result<(), DataError> {
        // Sorted, because the order in which a system lists a folder differs between machines.
        for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
            let entry = entry.map_err(|error| walk_error(folder, error))?;
            if entry.file_type().is_file() {
                self.add_entry(folder, entry)?;
            }
        }
        Ok(())
    }

    fn add_entry(&mut self, folder: &Path, entry: DirEntry) -> Result<(), DataError> {
        // macOS adds files such as `._book.txt` with binary metadata to archives.
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        let Some(format) = Format::of(entry.path()).filter(|_| !is_hidden) else {
            self.skipped += 1;
            return Ok(());
        };
        let metadata = entry.metadata().map_err(|error| walk_error(entry.path(), error))?;
        let name = name_below(folder, entry.path());
        self.files.push(InputFile::on_disk(name, entry.into_path(), format, metadata.len()));
        Ok(())
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
