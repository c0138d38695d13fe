//! What can go wrong with a network and its files.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// A field of a model configuration that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value} {rule}")]
pub struct ModelConfigError {
    /// The field, named as in the Hub's `config.json`.
    pub field: &'static str,
    /// The value found.
    pub value: String,
    /// What it must be.
    pub rule: String,
}

impl ModelConfigError {
    pub(crate) fn new(field: &'static str, value: impl Display, rule: impl Into<String>) -> Self {
        Self { field, value: value.to_string(), rule: rule.into() }
    }
}

/// A folder in the Hub's layout, or one file of it, that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The file system said no.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was tried: `read`, `write`, `rename`, `remove`.
        action: &'static str,
        /// The file system's answer.
        #[source]
        source: io::Error,
    },

    /// A JSON file that is no JSON, or lacks a field, or holds one of the wrong type.
    #[error("`{}` cannot be understood", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        #[source]
        source: serde_json::Error,
    },

    /// A model that this program does not compute.
    #[error("`{}` asks for {field} = {value}, which is not supported", path.display())]
    Unsupported {
        /// The config file.
        path: PathBuf,
        /// Field of the config, dotted when nested.
        field: String,
        /// The value found.
        value: String,
        /// What is supported instead.
        hint: String,
    },

    /// A supported kind of model with impossible numbers.
    #[error("`{}` is inconsistent", path.display())]
    Config {
        /// The config file.
        path: PathBuf,
        /// The field and the rule it breaks.
        #[source]
        source: ModelConfigError,
    },

    /// Neither `model.safetensors` nor an index of shards.
    #[error("no weights in `{}`", folder.display())]
    NoWeights {
        /// The folder searched.
        folder: PathBuf,
    },

    /// Shorter than its own header says.
    #[error("`{}` is truncated: {expected} bytes expected, got {got}", path.display())]
    Truncated {
        /// The weight file.
        path: PathBuf,
        /// Bytes that the file should have at least.
        expected: u64,
        /// Bytes it has.
        got: u64,
    },

    /// A header or index that contradicts itself or the file.
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The weight or index file.
        path: PathBuf,
        /// The contradiction.
        problem: String,
    },

    /// Numbers in a format that is not fp32, bf16 or fp16.
    #[error("`{tensor}` in `{}` has dtype {dtype}, expected F32, BF16 or F16", path.display())]
    UnknownDtype {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The dtype as written in the header.
        dtype: String,
    },

    /// A tensor that the network needs and nothing provides.
    #[error("`{tensor}` is missing from `{}`", path.display())]
    MissingTensor {
        /// The folder, or the file that was promised to hold it.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// A tensor of another shape than the config implies.
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

    /// A tensor that no part of the network would use.
    #[error("`{}` holds `{tensor}`, which a Llama model has no use for", path.display())]
    UnexpectedTensor {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },

    /// More elements asked for than the tensor has.
    #[error("`{tensor}` has {available} elements, elements up to {end} were asked for")]
    Range {
        /// The tensor.
        tensor: String,
        /// Elements it has.
        available: usize,
        /// End of the range asked for.
        end: usize,
    },
}

impl HubError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Json { path, source }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.into() }
    }

    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io { action: "read", source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "a model folder holds `config.json` and `model.safetensors`, or shards with `model.safetensors.index.json`"
            }
            Self::Io { action: "read", .. } => return None,
            Self::Io { .. } => {
                "check free space and permissions, then try again; nothing was left that looks whole"
            }
            Self::Json { .. } => "compare the file with its original",
            Self::Unsupported { hint, .. } => hint.as_str(),
            Self::Config { .. } => "correct the field, or fetch the original file again",
            Self::NoWeights { .. } => {
                "weights are read from `model.safetensors`, or from shards with an index; `.bin` files must be converted first"
            }
            Self::Truncated { .. } | Self::Damaged { .. } => "copy or download the file again",
            Self::UnknownDtype { .. } => {
                "convert the weights to fp32, bf16 or fp16 first; quantised weights cannot be trained on"
            }
            Self::MissingTensor { tensor, .. } if tensor == "lm_head.weight" => {
                "if the head is the embedding itself, set `tie_word_embeddings` to true in `config.json`"
            }
            Self::MissingTensor { .. } | Self::Shape { .. } | Self::UnexpectedTensor { .. } => {
                "check that `config.json` and the weights belong together and are complete"
            }
            Self::Range { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Tokens that a network cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The tokens do not divide into windows that have something to predict.
    #[error("{tokens} tokens do not make {sequences} equally long windows")]
    Ragged {
        /// Tokens given.
        tokens: usize,
        /// Windows asked for.
        sequences: usize,
    },
    /// More tokens in a row than there are positions.
    #[error("a window of {length} tokens is longer than the model's {max_positions} positions")]
    TooLong {
        /// Tokens in a window.
        length: usize,
        /// Positions of the model.
        max_positions: usize,
    },
    /// An id that no embedding belongs to.
    #[error("token id {token} is outside the model's vocabulary of {vocab_size}")]
    UnknownToken {
        /// The id.
        token: u32,
        /// Ids the model knows.
        vocab_size: usize,
    },
}

impl BatchError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ragged { .. } => None,
            Self::TooLong { .. } => {
                Some("use a shorter sequence length, or a model with more positions".into())
            }
            Self::UnknownToken { .. } => Some(
                "the text was tokenized for another model: prepare it with this model's tokenizer"
                    .into(),
            ),
        }
    }
}
