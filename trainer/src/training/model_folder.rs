//! A trained model in a folder: a run's newest checkpoint, a checkpoint, or a Hugging Face folder.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use covey_data::tokenizer::Tokenizer;
use covey_model::error::HubError;
use covey_model::hub::{HubConfig, HubFolder};
use covey_model::network::{Decoder, Weights};

use crate::training::checkpoint::{Checkpoint, newest_intact};

/// A folder without a model, or without a part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFolderError {
    /// There is no such folder.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// As asked for.
        path: PathBuf,
    },
    /// Neither a run with checkpoints, nor a checkpoint, nor a Hugging Face folder.
    #[error("{} holds no model", path.display())]
    NoModel {
        /// The folder.
        path: PathBuf,
    },
    /// A model that cannot be given text.
    #[error("{} has no tokenizer.json", path.display())]
    NoTokenizer {
        /// The folder.
        path: PathBuf,
    },
}

impl ModelFolderError {
    /// What the person at the keyboard can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } | Self::NoModel { .. } => {
                "name a run folder, a checkpoint, or a Hugging Face folder with a config.json"
            }
            Self::NoTokenizer { .. } => "put the tokenizer of this model into its folder",
        };
        Some(hint.to_owned())
    }
}

/// An opened model folder; weights are read when asked for.
#[derive(Debug)]
pub struct ModelFolder {
    hub: HubFolder,
}

impl ModelFolder {
    /// Opens the model that `path` stands for. Checkpoints are compared with their manifest; damaged ones of a run are
    /// passed over, and `warn` is told.
    ///
    /// # Errors
    /// A folder without a model, or one that is damaged or not supported.
    pub fn open(path: &Path, mut warn: impl FnMut(String)) -> anyhow::Result<Self> {
        let folder = if path.join("config.json").is_file() {
            if path.join("state.json").is_file() {
                Checkpoint::open(path)?;
            }
            path.to_owned()
        } else {
            newest_of_run(path, &mut warn)?
        };
        Ok(Self { hub: HubFolder::open(folder)? })
    }

    /// Where the weights lie.
    pub fn path(&self) -> &Path {
        self.hub.path()
    }

    /// What `config.json` says.
    pub fn config(&self) -> &HubConfig {
        self.hub.config()
    }

    /// The weights on `device`.
    ///
    /// # Errors
    /// [`HubError`] if a file has changed since it was opened.
    pub fn weights(&self, device: &Device) -> Result<Weights, HubError> {
        self.config()
            .model
            .parameters()
            .try_map(|spec| Ok(flat_tensor(self.hub.read(spec)?, device)))
    }

    /// The network and its weights on `device`.
    ///
    /// # Errors
    /// As for [`ModelFolder::weights`].
    pub fn load(&self, device: &Device) -> Result<(Decoder, Weights), HubError> {
        Ok((Decoder::new(self.config().model.clone(), device), self.weights(device)?))
    }

    /// The files as they are.
    pub fn hub(&self) -> &HubFolder {
        &self.hub
    }

    /// The tokenizer beside the weights.
    ///
    /// # Errors
    /// If there is none, or it is no tokenizer.
    pub fn tokenizer(&self) -> anyhow::Result<Tokenizer> {
        if !self.has_tokenizer() {
            return Err(ModelFolderError::NoTokenizer { path: self.path().to_owned() }.into());
        }
        Ok(Tokenizer::load(self.path())?)
    }

    /// Whether there is a tokenizer beside the weights.
    pub fn has_tokenizer(&self) -> bool {
        self.path().join("tokenizer.json").is_file()
    }
}

fn newest_of_run(path: &Path, warn: &mut impl FnMut(String)) -> anyhow::Result<PathBuf> {
    let found = newest_intact(path)?.ok_or_else(|| {
        let path = path.to_owned();
        if path.exists() {
            ModelFolderError::NoModel { path }
        } else {
            ModelFolderError::NotFound { path }
        }
    })?;
    for skipped in found.skipped {
        warn(format!("warning: passed over {}: {}", skipped.path.display(), skipped.reason));
    }
    Ok(found.checkpoint.path().to_owned())
}

/// A flat tensor with these values.
pub fn flat_tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}
