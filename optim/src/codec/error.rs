//! Why a payload was refused.

/// Bytes that are no delta of the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than any delta of the schema can have.
    #[error("payload has {got} bytes, a delta of this run has at most {limit}")]
    TooLong {
        /// Most bytes.
        limit: usize,
        /// Bytes found.
        got: usize,
    },

    /// The bytes end too early.
    #[error("payload ends inside {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },

    /// Bytes after the end.
    #[error("{count} bytes after the end of the payload")]
    Trailing {
        /// How many.
        count: usize,
    },

    /// Something else than a delta.
    #[error("payload does not begin with the mark of a delta")]
    Magic,

    /// A later or damaged format.
    #[error("payload has version {got}, this program reads version {expected}")]
    Version {
        /// The version that is read.
        expected: u8,
        /// The version found.
        got: u8,
    },

    /// Other rules than the run's.
    #[error("payload has profile {got}, the run has profile {expected}")]
    Profile {
        /// The run's.
        expected: u8,
        /// The one found.
        got: u8,
    },

    /// Other tensors or another `k` than the run's.
    #[error("payload was made for schema {got}, the run has schema {expected}")]
    Schema {
        /// Digest of the run's schema.
        expected: String,
        /// Digest found.
        got: String,
    },

    /// Missing or additional tensors.
    #[error("payload has {got} tensors, the run has {expected}")]
    TensorCount {
        /// Tensors of the run.
        expected: usize,
        /// Tensors announced.
        got: u64,
    },

    /// A table of levels that is not finite, out of range, or not of the profile's form.
    #[error("levels of tensor {tensor} are not finite, too large, or not in order")]
    Levels {
        /// The tensor.
        tensor: String,
    },

    /// Impossible frequencies of codes or an unknown model of gaps.
    #[error("{what} of tensor {tensor} is out of range")]
    Model {
        /// `code model` or `gap model`.
        what: &'static str,
        /// The tensor.
        tensor: String,
    },

    /// Positions that run beyond the end of their chunk.
    #[error("positions in chunk {chunk} of tensor {tensor} run out of the chunk")]
    Position {
        /// The tensor.
        tensor: String,
        /// The chunk inside the tensor.
        chunk: usize,
    },

    /// A segment whose coder does not end where it must: damaged bytes.
    #[error("segment {segment} does not end as it must ({what})")]
    Segment {
        /// The segment.
        segment: usize,
        /// Which end.
        what: &'static str,
    },

    /// A model that the encoder would not have chosen for these entries.
    #[error("{what} of tensor {tensor} is not the one that the encoder chooses")]
    NotCanonical {
        /// `code model` or `gap model`.
        what: &'static str,
        /// The tensor.
        tensor: String,
    },
}

impl DecodeError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Version { .. } => {
                Some("peers of one run must use the same version of the program".into())
            }
            Self::Profile { .. } | Self::Schema { .. } | Self::TensorCount { .. } => Some(
                "the sender must use the model and the settings that the run was started with"
                    .into(),
            ),
            _ => None,
        }
    }
}
