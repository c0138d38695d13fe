//! Reads a checkpoint after comparing every file with the manifest.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use covey_optim::inner::Moments;
use rayon::prelude::*;

use super::error::{CheckpointError, Damage};
use super::manifest::{CheckpointManifest, FileEntry};
use super::names::{ERROR_FEEDBACK, MODEL_CONFIG, OPTIMIZER, RUN_CONFIG, STATE, WEIGHTS, is_own};
use super::snapshot::{NamedTensor, TrainingState};
use super::tensor_files::TensorFiles;

/// A verified checkpoint on disk.
///
/// Tensors stay on disk and are read one at a time, so a checkpoint may be larger than memory.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    manifest: CheckpointManifest,
    state: TrainingState,
    model_config: String,
    run_config: String,
    weights: TensorFiles,
    moments: TensorFiles,
    error_feedback: TensorFiles,
}

impl Checkpoint {
    /// Opens the checkpoint in folder `path` and verifies all files.
    ///
    /// Reads every byte once, on all cores.
    ///
    /// # Errors
    /// - [`CheckpointError::NotACheckpoint`] if the folder has no manifest.
    /// - [`CheckpointError::UnknownVersion`] if the manifest has another format version.
    /// - [`CheckpointError::Damaged`] with the first difference in the order of the manifest.
    /// - [`CheckpointError::Io`] if a file cannot be read.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let manifest = CheckpointManifest::read(path)?;
        verify(path, &manifest.files)?;
        Ok(Self {
            state: read_state(path, manifest.step)?,
            model_config: read_text(path, MODEL_CONFIG)?,
            run_config: read_text(path, RUN_CONFIG)?,
            weights: TensorFiles::open(path, WEIGHTS, &manifest.files)?,
            moments: TensorFiles::open(path, OPTIMIZER, &manifest.files)?,
            error_feedback: TensorFiles::open(path, ERROR_FEEDBACK, &manifest.files)?,
            path: path.to_owned(),
            manifest,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state of the training loop.
    pub fn state(&self) -> &TrainingState {
        &self.state
    }

    /// Text of `config.json`, the model configuration in the format of the Hub.
    pub fn model_config(&self) -> &str {
        &self.model_config
    }

    /// Text of `run.toml`, the resolved configuration of the run.
    pub fn run_config(&self) -> &str {
        &self.run_config
    }

    /// [`weights_digest`](super::snapshot::weights_digest) of the weights, in hexadecimal.
    pub fn weights_digest(&self) -> &str {
        &self.manifest.weights
    }

    /// Reads the extra file `name`; `None` if there is no such file.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if it cannot be read.
    pub fn extra_file(&self, name: &str) -> Result<Option<Vec<u8>>, CheckpointError> {
        let Some(path) = self.extra_files().find(|path| path.ends_with(name)) else {
            return Ok(None);
        };
        fs::read(&path).map(Some).map_err(|source| CheckpointError::io("read", &path, source))
    }

    /// Paths of the extra files: tokenizer files, and the files of a peer in a distributed run.
    pub fn extra_files(&self) -> impl Iterator<Item = PathBuf> {
        let extras = self.manifest.files.iter().filter(|file| !is_own(&file.name));
        extras.map(|file| self.path.join(&file.name))
    }

    /// Names of the weights in canonical order.
    pub fn weight_names(&self) -> impl Iterator<Item = &str> {
        self.weights.names()
    }

    /// Reads the weight `name`.
    ///
    /// # Errors
    /// [`CheckpointError::NoSuchTensor`], or [`CheckpointError::Damaged`] if the file has changed
    /// since the checkpoint was opened.
    pub fn weight(&self, name: &str) -> Result<NamedTensor, CheckpointError> {
        self.read(&self.weights, name)
    }

    /// Reads the values in `range`, in row-major order, of the weight `name`.
    ///
    /// # Errors
    /// As for [`Checkpoint::weight`].
    pub fn weight_range(
        &self,
        name: &str,
        range: Range<usize>,
    ) -> Result<Vec<f32>, CheckpointError> {
        self.read_range(&self.weights, name, range)
    }

    /// Reads the optimizer moments of the weight `name`; `None` before the first optimizer step.
    ///
    /// # Errors
    /// As for [`Checkpoint::weight`].
    pub fn moments(&self, name: &str) -> Result<Option<Moments>, CheckpointError> {
        if self.moments.names().next().is_none() {
            return Ok(None);
        }
        let first = self.read(&self.moments, &format!("m.{name}"))?.values;
        let second = self.read(&self.moments, &format!("v.{name}"))?.values;
        Ok(Some(Moments { first, second }))
    }

    /// Reads the values in `range`, in row-major order, of [`Checkpoint::moments`].
    ///
    /// # Errors
    /// As for [`Checkpoint::weight`].
    pub fn moments_range(
        &self,
        name: &str,
        range: Range<usize>,
    ) -> Result<Option<Moments>, CheckpointError> {
        if self.moments.names().next().is_none() {
            return Ok(None);
        }
        let first = self.read_range(&self.moments, &format!("m.{name}"), range.clone())?;
        let second = self.read_range(&self.moments, &format!("v.{name}"), range)?;
        Ok(Some(Moments { first, second }))
    }

    /// Reads the error feedback of the weight `name`; `None` if the run is not distributed.
    ///
    /// # Errors
    /// As for [`Checkpoint::weight`].
    pub fn error_feedback(&self, name: &str) -> Result<Option<Vec<f32>>, CheckpointError> {
        match self.error_feedback.names().next() {
            None => Ok(None),
            Some(_) => self.read(&self.error_feedback, name).map(|tensor| Some(tensor.values)),
        }
    }

    fn read_range(
        &self,
        files: &TensorFiles,
        name: &str,
        range: Range<usize>,
    ) -> Result<Vec<f32>, CheckpointError> {
        files.read_range(&self.path, name, range)?.ok_or_else(|| self.no_such_tensor(name))
    }

    fn no_such_tensor(&self, name: &str) -> CheckpointError {
        CheckpointError::NoSuchTensor { path: self.path.clone(), name: name.to_owned() }
    }

    fn read(&self, files: &TensorFiles, name: &str) -> Result<NamedTensor, CheckpointError> {
        files.read(&self.path, name)?.ok_or_else(|| self.no_such_tensor(name))
    }
}

fn verify(folder: &Path, files: &[FileEntry]) -> Result<(), CheckpointError> {
    // A separate pool: the size of the global pool comes from the configuration, which may be in
    // the checkpoint that is being opened, and the global pool can be built only once.
    let pool = rayon::ThreadPoolBuilder::new().build();
    let pool =
        pool.map_err(|error| CheckpointError::io("read", folder, io::Error::other(error)))?;
    // All results are collected before the first error is taken, so the reported difference is the
    // first one in the manifest and does not depend on the threads.
    let results: Vec<_> =
        pool.install(|| files.par_iter().map(|file| verify_file(folder, file)).collect());
    results.into_iter().collect()
}

fn verify_file(folder: &Path, expected: &FileEntry) -> Result<(), CheckpointError> {
    let path = folder.join(&expected.name);
    let file = expected.name.clone();
    let length = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CheckpointError::damaged(folder, Damage::Missing { file }));
        }
        metadata => metadata.map_err(|source| CheckpointError::io("read", &path, source))?.len(),
    };
    // A truncated file is detected without reading gigabytes of it.
    if length != expected.length {
        return Err(CheckpointError::damaged(
            folder,
            Damage::Length { file, expected: expected.length, got: length },
        ));
    }
    let got =
        hash_file(&path).map_err(|source| CheckpointError::io("read", &path, source))?.to_string();
    if got != expected.blake3 {
        let damage = Damage::Contents { file, expected: expected.blake3.clone(), got };
        return Err(CheckpointError::damaged(folder, damage));
    }
    Ok(())
}

fn hash_file(path: &Path) -> io::Result<blake3::Hash> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    // 1 MiB: large enough for the SIMD paths of BLAKE3 and for few system calls.
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        };
    }
}

fn read_state(folder: &Path, step: u64) -> Result<TrainingState, CheckpointError> {
    let state: TrainingState = serde_json::from_str(&read_text(folder, STATE)?)
        .map_err(|error| unreadable(folder, STATE, error))?;
    // Both files match their digests; a different step can only come from a wrong program.
    if state.step != step {
        let reason = format!("its step is {}, the step of the manifest is {step}", state.step);
        return Err(unreadable(folder, STATE, reason));
    }
    Ok(state)
}

fn read_text(folder: &Path, file: &str) -> Result<String, CheckpointError> {
    fs::read_to_string(folder.join(file)).map_err(|error| unreadable(folder, file, error))
}

fn unreadable(folder: &Path, file: &str, reason: impl ToString) -> CheckpointError {
    let damage = Damage::Unreadable { file: file.to_owned(), reason: reason.to_string() };
    CheckpointError::damaged(folder, damage)
}
