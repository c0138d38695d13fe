//! Errors between a pseudo-gradient and the next weights.

/// A delta that cannot be made or applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SparseLocoError {
    /// A tensor is neither a vector nor a matrix.
    #[error("tensor {name} has {got} dimensions, but only 1 and 2 can be compressed")]
    Dimensions {
        /// The tensor.
        name: String,
        /// Its number of dimensions.
        got: usize,
    },

    /// A tensor has no elements, or more than can be addressed.
    #[error("tensor {name} of shape {shape:?} has no elements or too many")]
    Size {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },

    /// Two tensors have the same name.
    #[error("tensor {name} is listed twice")]
    Duplicate {
        /// The name.
        name: String,
    },

    /// The number of tensors differs from that of the schema.
    #[error("{got} tensors given, the schema has {expected}")]
    TensorCount {
        /// Tensors of the schema.
        expected: usize,
        /// Tensors given.
        got: usize,
    },

    /// The length of a tensor differs from that of the schema.
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

    /// A value is NaN, infinite, or so large that sums may become infinite.
    #[error("{what} of tensor {name} is not finite or too large")]
    NonFinite {
        /// `pseudo-gradient`, `error feedback`, `weight` or `level`.
        what: &'static str,
        /// The tensor.
        name: String,
    },

    /// A delta has another schema.
    #[error("the delta has another schema")]
    OtherSchema,

    /// An entry is outside its chunk or not above the entry before.
    #[error(
        "entry {entry} of chunk {chunk} of tensor {name} is outside the chunk or not ascending"
    )]
    Entry {
        /// The tensor.
        name: String,
        /// The chunk inside the tensor.
        chunk: usize,
        /// The entry inside the chunk.
        entry: usize,
    },

    /// Levels are not two bfloat16 magnitudes with either sign, the smaller first.
    // The encoding of `covey` cannot express other levels, so such a delta could not be sent.
    #[error("levels {got:?} of tensor {name} are not two bfloat16 magnitudes with either sign")]
    Levels {
        /// The tensor.
        name: String,
        /// Its levels.
        got: [f32; 4],
    },

    /// The number of entries differs from that of the schema.
    #[error("{got} entries given, the schema has {expected}")]
    EntryCount {
        /// Entries of the schema.
        expected: usize,
        /// Entries given.
        got: usize,
    },

    /// The number of peers differs from those for which a method keeps state.
    #[error("{got} pseudo-gradients given, the method keeps state for {expected} peers")]
    PeerCount {
        /// Peers with state.
        expected: usize,
        /// Peers given.
        got: usize,
    },

    /// Shares of the work do not cover the slabs of a tensor.
    #[error("the shares of tensor {name} do not cover its slabs once and in order")]
    Shares {
        /// The tensor.
        name: String,
    },

    /// A round has no deltas.
    #[error("no deltas to aggregate")]
    NoDeltas,
}

impl SparseLocoError {
    /// Returns what the user can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NonFinite { what: "pseudo-gradient", .. } => {
                Some("lower the learning rate, or skip this round".into())
            }
            Self::TensorCount { .. }
            | Self::Length { .. }
            | Self::OtherSchema
            | Self::EntryCount { .. } => {
                Some("use the model and the settings of the run on every peer".into())
            }
            Self::NonFinite { what: "weight", .. } => Some("lower the outer learning rate".into()),
            Self::NoDeltas => Some("keep the weights of the round before".into()),
            _ => None,
        }
    }
}
