//! What can go wrong between a pseudo-gradient and the next weights.

/// A delta that cannot be made or used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SparseLocoError {
    /// Only vectors and matrices can be cut into chunks.
    #[error("tensor {name} has {got} dimensions, but only 1 and 2 can be compressed")]
    Dimensions {
        /// The tensor.
        name: String,
        /// Its number of dimensions.
        got: usize,
    },

    /// A tensor without elements, or with more than can be addressed.
    #[error("tensor {name} of shape {shape:?} has no elements or too many")]
    Size {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },

    /// Two tensors of one name.
    #[error("tensor {name} is listed twice")]
    Duplicate {
        /// The name.
        name: String,
    },

    /// Too few or too many tensors.
    #[error("{got} tensors given, the schema has {expected}")]
    TensorCount {
        /// Tensors of the schema.
        expected: usize,
        /// Tensors given.
        got: usize,
    },

    /// A tensor of another length than the schema's.
    #[error("{what} of tensor {name} has {got} elements instead of {expected}")]
    Length {
        /// `pseudo-gradient`, `error feedback`, `weight` or `step`.
        what: &'static str,
        /// The tensor.
        name: String,
        /// Elements by the schema.
        expected: usize,
        /// Elements found.
        got: usize,
    },

    /// A NaN, an infinity, or a number so large that sums of it would be infinite.
    #[error("{what} of tensor {name} is not finite or too large")]
    NonFinite {
        /// `pseudo-gradient`, `error feedback`, `weight` or `level`.
        what: &'static str,
        /// The tensor.
        name: String,
    },

    /// A delta that was made for other tensors or other settings.
    #[error("delta was made for another schema")]
    OtherSchema,

    /// Entries that no compressor would make.
    #[error(
        "entry {entry} of chunk {chunk} of tensor {name} is out of the chunk or not above the entry before"
    )]
    Entry {
        /// The tensor.
        name: String,
        /// The chunk inside the tensor.
        chunk: usize,
        /// The entry inside the chunk.
        entry: usize,
    },

    /// Levels that are not two magnitudes in bfloat16 with either sign, the smaller first.
    #[error("levels {got:?} of tensor {name} are not two bfloat16 magnitudes with either sign")]
    Levels {
        /// The tensor.
        name: String,
        /// Its levels.
        got: [f32; 4],
    },

    /// Another number of entries than the schema asks for.
    #[error("{got} entries given, the schema has {expected}")]
    EntryCount {
        /// Entries of the schema.
        expected: usize,
        /// Entries given.
        got: usize,
    },

    /// A round of more or fewer peers than the method keeps state for.
    #[error("pseudo-gradients of {got} peers given, the method was made for {expected}")]
    PeerCount {
        /// Peers with state.
        expected: usize,
        /// Peers given.
        got: usize,
    },

    /// Shares of the work that do not make up the whole.
    #[error("shares of tensor {name} are not its slabs, each once and in order")]
    Shares {
        /// The tensor.
        name: String,
    },

    /// Nothing to average.
    #[error("no deltas to aggregate")]
    NoDeltas,
}

impl SparseLocoError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NonFinite { what: "pseudo-gradient", .. } => Some(
                "the inner steps diverged: lower the learning rate or leave this round out".into(),
            ),
            Self::TensorCount { .. }
            | Self::Length { .. }
            | Self::OtherSchema
            | Self::EntryCount { .. } => Some(
                "every peer must use the model and the settings that the run was started with"
                    .into(),
            ),
            Self::NonFinite { what: "weight", .. } => Some("lower the outer learning rate".into()),
            Self::NoDeltas => {
                Some("a round without deltas is void: keep the weights as they are".into())
            }
            _ => None,
        }
    }
}
