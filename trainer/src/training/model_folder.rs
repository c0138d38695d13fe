//! A trained model in a folder: a run, a checkpoint, or a Hugging Face model.

use crate::system::error::{Hint, Result};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use covey_data::tokenizer::Tokenizer;
use covey_model::error::HubError;
use covey_model::hub::{HubConfig, HubFolder};
use covey_model::network::{Decoder, Weights};

use crate::training::checkpoint::{Checkpoint, newest_intact};

/// A folder without a model or without a part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFolderError {
    /// The folder does not exist.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The requested folder.
        path: PathBuf,
    },
    /// Neither a run with checkpoints, nor a checkpoint, nor a Hugging Face folder.
    #[error("{} does not contain a model", path.display())]
    NoModel {
        /// The folder.
        path: PathBuf,
    },
    /// The model has no tokenizer, so it cannot read or write text.
    #[error("{} has no tokenizer.json", path.display())]
    NoTokenizer {
        /// The folder.
        path: PathBuf,
    },
}

impl Hint for ModelFolderError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } | Self::NoModel { .. } => {
                "name a run folder, a checkpoint, or a Hugging Face folder with a config.json"
            }
            Self::NoTokenizer { .. } => "copy the tokenizer.json of this model into the folder",
        };
        Some(hint.to_owned())
    }
}

/// An open model folder. Weights are read on request.
#[derive(Debug)]
pub struct ModelFolder {
    hub: HubFolder,
}

impl ModelFolder {
    /// Opens the model in `path`, or the newest intact checkpoint if `path` is the folder of a run.
    ///
    /// Checkpoints are verified. `warn` is called for each damaged checkpoint that is skipped.
    ///
    /// # Errors
    /// A folder without a model, a damaged checkpoint, or a model that is not supported.
    pub fn open(path: &Path, mut warn: impl FnMut(String)) -> Result<Self> {
        let folder = if path.join("config.json").is_file() {
            // Only checkpoints have this file; a Hugging Face folder has no manifest to verify.
            if path.join("state.json").is_file() {
                Checkpoint::open(path)?;
            }
            path.to_owned()
        } else {
            // Run folders have no config.json; their checkpoints do.
            newest_of_run(path, &mut warn)?
        };
        Ok(Self { hub: HubFolder::open(folder)? })
    }

    /// The folder that contains the weights.
    pub fn path(&self) -> &Path {
        self.hub.path()
    }

    /// The contents of `config.json`.
    pub fn config(&self) -> &HubConfig {
        self.hub.config()
    }

    /// Reads the weights to `device`.
    ///
    /// # Errors
    /// [`HubError`] if a file has changed since it was opened.
    pub fn weights(&self, device: &Device) -> Result<Weights, HubError> {
        self.config()
            .model
            .parameters()
            .try_map(|spec| Ok(flat_tensor(self.hub.read(spec)?, device)))
    }

    /// The decoder with its weights on `device`.
    ///
    /// # Errors
    /// As for [`ModelFolder::weights`].
    pub fn load(&self, device: &Device) -> Result<(Decoder, Weights), HubError> {
        Ok((Decoder::new(self.config().model.clone(), device), self.weights(device)?))
    }

    /// The folder as a Hugging Face model.
    pub fn hub(&self) -> &HubFolder {
        &self.hub
    }

    /// The tokenizer in the folder.
    ///
    /// # Errors
    /// [`ModelFolderError::NoTokenizer`] if there is none, and errors of parsing it.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        if !self.has_tokenizer() {
            return Err(ModelFolderError::NoTokenizer { path: self.path().to_owned() }.into());
        }
        Ok(Tokenizer::load(self.path())?)
    }

    /// Returns true if the folder contains a tokenizer.
    pub fn has_tokenizer(&self) -> bool {
        self.path().join("tokenizer.json").is_file()
    }
}

fn newest_of_run(path: &Path, warn: &mut impl FnMut(String)) -> Result<PathBuf> {
    let found = newest_intact(path)?.ok_or_else(|| {
        let path = path.to_owned();
        if path.exists() {
            ModelFolderError::NoModel { path }
        } else {
            ModelFolderError::NotFound { path }
        }
    })?;
    // A warning and not an error: an older checkpoint is a valid model, but not the expected one.
    for skipped in found.skipped {
        warn(format!("warning: passed over {}: {}", skipped.path.display(), skipped.reason));
    }
    Ok(found.checkpoint.path().to_owned())
}

/// A one-dimensional tensor with these values.
pub fn flat_tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}
