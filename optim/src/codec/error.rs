//! Reasons why a payload is not a delta of the run.

/// A payload that does not encode a delta of the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The payload is longer than any delta of the schema.
    #[error("the payload has {got} bytes, a delta of this run at most {limit}")]
    TooLong {
        /// The largest possible length in bytes.
        limit: usize,
        /// Its length in bytes.
        got: usize,
    },

    /// The payload ends too early.
    #[error("the payload ends inside {what}")]
    Truncated {
        /// The part of the payload that was read.
        what: &'static str,
    },

    /// The payload continues after its last segment.
    #[error("{count} bytes after the end of the payload")]
    Trailing {
        /// The number of bytes.
        count: usize,
    },

    /// The payload is not a delta.
    #[error("the payload does not start with the magic bytes of a delta")]
    Magic,

    /// The format is of another version, or damaged.
    #[error("the payload has version {got}, this program reads version {expected}")]
    Version {
        /// The version of this program.
        expected: u8,
        /// The version of the payload.
        got: u8,
    },

    /// The profile is not that of the run.
    #[error("the payload has profile {got}, the run has profile {expected}")]
    Profile {
        /// The profile of the run.
        expected: u8,
        /// The profile of the payload.
        got: u8,
    },

    /// The tensors, the transform or `k` are not those of the run.
    #[error("the payload has schema {got}, the run has schema {expected}")]
    Schema {
        /// Digest of the schema of the run.
        expected: String,
        /// Digest in the payload.
        got: String,
    },

    /// Tensors are missing or added.
    #[error("the payload has {got} tensors, the run has {expected}")]
    TensorCount {
        /// Number of tensors of the run.
        expected: usize,
        /// Number of tensors in the payload.
        got: u64,
    },

    /// The levels of a tensor are not finite, out of range, or not of the form of the profile.
    #[error("levels of tensor {tensor} are not finite, too large, or not in order")]
    Levels {
        /// The tensor.
        tensor: String,
    },

    /// The frequencies of codes are impossible, or the gap model is unknown.
    #[error("{what} of tensor {tensor} is out of range")]
    Model {
        /// `code model` or `gap model`.
        what: &'static str,
        /// The tensor.
        tensor: String,
    },

    /// Positions exceed the end of their chunk.
    #[error("positions in chunk {chunk} of tensor {tensor} exceed the chunk")]
    Position {
        /// The tensor.
        tensor: String,
        /// The chunk inside the tensor.
        chunk: usize,
    },

    /// The entropy coder of a segment does not start or end in a valid state.
    #[error("segment {segment} is damaged: wrong {what}")]
    Segment {
        /// The segment.
        segment: usize,
        /// The wrong part: `first state`, `last state`, `number of words` or `number of bits`.
        what: &'static str,
    },

    /// The encoder would not choose this model for the decoded entries.
    // Accepting it would allow many encodings of one delta, and so many digests.
    #[error("{what} of tensor {tensor} is not the one that the encoder chooses")]
    NotCanonical {
        /// `code model` or `gap model`.
        what: &'static str,
        /// The tensor.
        tensor: String,
    },
}

impl DecodeError {
    /// Returns what the user can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Version { .. } => {
                Some("use the same version of Covey on all peers of the run".into())
            }
            Self::Profile { .. } | Self::Schema { .. } | Self::TensorCount { .. } => {
                Some("use the model and the settings of the run on the sending peer".into())
            }
            _ => None,
        }
    }
}
