//! Errors of networks, token batches and model files.
//!
//! They hold plain values (paths, names, numbers), and therefore this module imports from no room.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// An invalid field of a model configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value} {rule}")]
pub struct ModelConfigError {
    /// The field, named as in the Hub's `config.json`.
    pub field: &'static str,
    /// The value found.
    pub value: String,
    /// The condition that the value violates, `must be at least 1` for example.
    pub rule: String,
}

impl ModelConfigError {
    pub(crate) fn new(field: &'static str, value: impl Display, rule: impl Into<String>) -> Self {
        Self { field, value: value.to_string(), rule: rule.into() }
    }
}

/// Failure to read or write a model folder in the Hub's layout.
///
/// Readers report the file and the tensor or field, because a folder may hold dozens of shards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The file system returned an error.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The operation: `read`, `write`, `rename` or `remove`.
        action: &'static str,
        /// The error of the file system.
        #[source]
        source: io::Error,
    },

    /// A file with invalid JSON, a missing field, or a field of the wrong type.
    #[error("cannot parse `{}`", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's error, with line and column.
        #[source]
        source: serde_json::Error,
    },

    /// A model that this crate does not implement.
    #[error("`{}`: {field} = {value} is not supported", path.display())]
    Unsupported {
        /// The config file.
        path: PathBuf,
        /// Field of the config; nested names are joined by dots.
        field: String,
        /// The value found, `null` if the field is missing.
        value: String,
        /// The supported values, as an instruction.
        hint: String,
    },

    /// A model of a supported family with invalid sizes.
    #[error("`{}` has an invalid field", path.display())]
    Config {
        /// The config file.
        path: PathBuf,
        /// The field and the condition that it violates.
        #[source]
        source: ModelConfigError,
    },

    /// A folder with neither `model.safetensors` nor an index of shards.
    #[error("no weights found in `{}`", folder.display())]
    NoWeights {
        /// The folder searched.
        folder: PathBuf,
    },

    /// A weight file that ends before its header or its data do.
    #[error("`{}` is truncated: expected {expected} bytes, got {got}", path.display())]
    Truncated {
        /// The weight file.
        path: PathBuf,
        /// Least number of bytes that the header implies.
        expected: u64,
        /// Bytes in the file.
        got: u64,
    },

    /// A header or index that contradicts itself or the data.
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The weight or index file.
        path: PathBuf,
        /// The contradiction.
        problem: String,
    },

    /// A tensor with a dtype other than fp32, bf16 or fp16.
    #[error("`{tensor}` in `{}` has dtype {dtype}, expected F32, BF16 or F16", path.display())]
    UnknownDtype {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The dtype as written in the header.
        dtype: String,
    },

    /// A parameter of the network without a tensor.
    #[error("`{tensor}` is missing from `{}`", path.display())]
    MissingTensor {
        /// The folder, or the file that should contain the tensor according to the index.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// A tensor with a shape other than the one that the config implies.
    #[error("`{tensor}` in `{}` has shape {got:?}, expected {expected:?}", path.display())]
    Shape {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Shape implied by the config.
        expected: Vec<usize>,
        /// Shape in the file.
        got: Vec<usize>,
    },

    /// A tensor that is not a parameter of the network.
    #[error("`{}` contains `{tensor}`, which is not a parameter of this model", path.display())]
    UnexpectedTensor {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// A range of elements that exceeds the tensor.
    #[error("cannot read elements up to {end} of `{tensor}`, which has {available}")]
    Range {
        /// The tensor.
        tensor: String,
        /// Elements of the tensor.
        available: usize,
        /// End of the requested range.
        end: usize,
    },
}

impl HubError {
    /// Makes a [`HubError::Io`] of an error on `path`; to be passed to `map_err`.
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    /// Makes a [`HubError::Json`] of an error in `path`; to be passed to `map_err`.
    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Json { path, source }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.into() }
    }

    /// An instruction that helps the user to resolve the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            // The common cause is a path to the wrong folder, so the hint lists the expected files.
            Self::Io { action: "read", source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "use a folder with `config.json` and `model.safetensors`, or with shards and \
                 `model.safetensors.index.json`"
            }
            Self::Io { action: "read", .. } => return None,
            Self::Io { .. } => "check free space and permissions, then try again",
            Self::Json { .. } => "compare the file with the original",
            Self::Unsupported { hint, .. } => hint.as_str(),
            Self::Config { .. } => "correct the field, or download the original file again",
            Self::NoWeights { .. } => {
                "convert the weights to `model.safetensors`, or to shards with an index; `.bin` \
                 files are not supported"
            }
            Self::Truncated { .. } | Self::Damaged { .. } => "copy or download the file again",
            // Integer formats have no gradient, and conversion would need the quantizer's scales.
            Self::UnknownDtype { .. } => {
                "convert the weights to fp32, bf16 or fp16; quantized weights cannot be trained"
            }
            // A missing flag means tied if the head is absent, so here the config states `false`.
            Self::MissingTensor { tensor, .. } if tensor == "lm_head.weight" => {
                "set `tie_word_embeddings` to true in `config.json` if the model uses its \
                 embedding as the head"
            }
            Self::MissingTensor { .. } | Self::Shape { .. } | Self::UnexpectedTensor { .. } => {
                "check that `config.json` and the weights belong to the same model and are complete"
            }
            // Only a caller within this workspace can pass a wrong range.
            Self::Range { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Tokens that cannot be passed to a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The tokens do not divide into windows of equal length with at least one target each.
    #[error("cannot cut {tokens} tokens into {sequences} windows of equal length")]
    Ragged {
        /// Tokens given.
        tokens: usize,
        /// Windows requested.
        sequences: usize,
    },
    /// A window that is longer than the rotary table.
    #[error("a window of {length} tokens exceeds the model's {max_positions} positions")]
    TooLong {
        /// Tokens in a window.
        length: usize,
        /// Positions of the model.
        max_positions: usize,
    },
    /// A token id without a row in the embedding.
    #[error("token id {token} is outside the model's vocabulary of {vocab_size}")]
    UnknownToken {
        /// The id.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
}

impl BatchError {
    /// An instruction that helps the user to resolve the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ragged { .. } => None,
            Self::TooLong { .. } => {
                Some("use a shorter sequence length, or a model with more positions".into())
            }
            // Tokenizers with a larger vocabulary are the usual source of such ids.
            Self::UnknownToken { .. } => {
                Some("prepare the text with the tokenizer of this model".into())
            }
        }
    }
}
