//! Reading a checkpoint back.

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

/// A checkpoint on disk, every file of which has been found as it was written.
///
/// Tensors stay on disk until they are asked for, one at a time.
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
    /// Opens the checkpoint in folder `path`, after comparing every file with the manifest.
    ///
    /// Reads all of it once, on every core.
    ///
    /// # Errors
    /// [`CheckpointError::NotACheckpoint`], [`CheckpointError::Damaged`] with the first difference in the manifest's
    /// order, [`CheckpointError::UnknownVersion`], or [`CheckpointError::Io`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let manifest = CheckpointManifest::read(path)?;
        verify(path, &manifest.files)?;
        let names = || manifest.files.iter().map(|file| file.name.as_str());
        let checkpoint = Self {
            state: read_state(path, manifest.step)?,
            model_config: read_text(path, MODEL_CONFIG)?,
            run_config: read_text(path, RUN_CONFIG)?,
            weights: TensorFiles::open(path, WEIGHTS, names())?,
            moments: TensorFiles::open(path, OPTIMIZER, names())?,
            error_feedback: TensorFiles::open(path, ERROR_FEEDBACK, names())?,
            path: path.to_owned(),
            manifest,
        };
        Ok(checkpoint)
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the training loop stood.
    pub fn state(&self) -> &TrainingState {
        &self.state
    }

    /// Text of the Hub's `config.json`.
    pub fn model_config(&self) -> &str {
        &self.model_config
    }

    /// Text of the run's resolved configuration.
    pub fn run_config(&self) -> &str {
        &self.run_config
    }

    /// [`weights_digest`](super::snapshot::weights_digest) of the weights, in hexadecimal.
    pub fn weights_digest(&self) -> &str {
        &self.manifest.weights
    }

    /// Reads a file that was brought along; `None` if there is none of that name.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if it cannot be read.
    pub fn extra_file(&self, name: &str) -> Result<Option<Vec<u8>>, CheckpointError> {
        let Some(path) = self.extra_files().find(|path| path.ends_with(name)) else {
            return Ok(None);
        };
        fs::read(&path).map(Some).map_err(|source| CheckpointError::io("read", &path, source))
    }

    /// Paths of the tokenizer files and whatever else was brought along.
    pub fn extra_files(&self) -> impl Iterator<Item = PathBuf> {
        let extras = self.manifest.files.iter().filter(|file| !is_own(&file.name));
        extras.map(|file| self.path.join(&file.name))
    }

    /// Names of the weights, in the order in which they were saved.
    pub fn weight_names(&self) -> impl Iterator<Item = &str> {
        self.weights.names()
    }

    /// Reads the weight `name`.
    ///
    /// # Errors
    /// [`CheckpointError::NoSuchTensor`], or [`CheckpointError::Damaged`] if the file has changed since it was opened.
    pub fn weight(&self, name: &str) -> Result<NamedTensor, CheckpointError> {
        self.read(&self.weights, name)
    }

    /// Reads those numbers of the weight `name` that lie in `range`, counted row by row.
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

    /// Reads the optimizer's moments of the weight `name`; `None` if nothing had been optimised yet.
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

    /// [`Checkpoint::moments`] of those numbers that lie in `range`, counted row by row.
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

    /// Reads the error feedback of the weight `name`; `None` if the run was trained alone.
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
        files.read_range(&self.path, name, range)?.ok_or_else(|| self.no_such(name))
    }

    fn no_such(&self, name: &str) -> CheckpointError {
        CheckpointError::NoSuchTensor { path: self.path.clone(), name: name.to_owned() }
    }

    fn read(&self, files: &TensorFiles, name: &str) -> Result<NamedTensor, CheckpointError> {
        files.read(&self.path, name)?.ok_or_else(|| self.no_such(name))
    }
}

fn verify(folder: &Path, files: &[FileEntry]) -> Result<(), CheckpointError> {
    // Threads of its own: the number for everything else may be in the very checkpoint that is about to be read.
    let pool = rayon::ThreadPoolBuilder::new().build();
    let pool =
        pool.map_err(|error| CheckpointError::io("read", folder, io::Error::other(error)))?;
    let verdicts: Vec<_> =
        pool.install(|| files.par_iter().map(|file| verify_file(folder, file)).collect());
    verdicts.into_iter().collect()
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
    // A truncated file is told apart without reading it.
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
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        };
    }
}

fn read_state(folder: &Path, step: u64) -> Result<TrainingState, CheckpointError> {
    let unreadable = |reason: String| {
        CheckpointError::damaged(folder, Damage::Unreadable { file: STATE.into(), reason })
    };
    let state: TrainingState = serde_json::from_str(&read_text(folder, STATE)?)
        .map_err(|error| unreadable(error.to_string()))?;
    if state.step != step {
        return Err(unreadable(format!(
            "it is of step {}, the manifest of step {step}",
            state.step
        )));
    }
    Ok(state)
}

fn read_text(folder: &Path, file: &str) -> Result<String, CheckpointError> {
    fs::read_to_string(folder.join(file)).map_err(|error| {
        let damage = Damage::Unreadable { file: file.to_owned(), reason: error.to_string() };
        CheckpointError::damaged(folder, damage)
    })
}
