//! What can go wrong when a model is divided among members.

/// A division that cannot be made, or numbers that do not fit it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FsdpError {
    /// More members than there are parts that may be owned, or none.
    #[error("{members} members given, but the network can be divided among 1 to {possible}")]
    Members {
        /// Members asked for.
        members: usize,
        /// Members that are possible.
        possible: usize,
    },

    /// A parameter without elements, or one that may be cut into parts of none.
    #[error("parameter {parameter} has {elements} elements in parts of {alignment}")]
    Empty {
        /// Place of the parameter in canonical order.
        parameter: usize,
        /// Its elements.
        elements: usize,
        /// Elements of a part that is never cut.
        alignment: usize,
    },

    /// A unit without parameters.
    #[error("unit {unit} has no parameters")]
    EmptyUnit {
        /// Place of the unit.
        unit: usize,
    },

    /// Another number of devices than members.
    #[error("{got} devices given, the plan has {expected} members")]
    DeviceCount {
        /// Members of the plan.
        expected: usize,
        /// Devices given.
        got: usize,
    },

    /// Another number of parameters than the plan has.
    #[error("{what} of {got} parameters given, the plan has {expected}")]
    ParameterCount {
        /// `weights` or `moments`.
        what: &'static str,
        /// Parameters of the plan.
        expected: usize,
        /// Parameters given.
        got: usize,
    },

    /// Values of another length than the parameter or the piece they are for.
    #[error(
        "{got} elements of {what} given for parameter {parameter} or a piece of it, which has {expected}"
    )]
    Length {
        /// `weights`, `first moment` or `second moment`.
        what: &'static str,
        /// Place of the parameter in canonical order.
        parameter: usize,
        /// Elements expected.
        expected: usize,
        /// Elements given.
        got: usize,
    },

    /// Chunks of the compression that lie on two members.
    #[error("parameter {parameter} is cut at element {at}, inside a chunk of its compression")]
    ChunkCut {
        /// Place of the parameter in canonical order.
        parameter: usize,
        /// The element that the second member begins with.
        at: usize,
    },
}

impl FsdpError {
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Members { possible, .. } if *possible > 0 => {
                Some(format!("use at most {possible} devices"))
            }
            Self::ParameterCount { .. } | Self::Length { .. } => {
                Some("resume with the model the checkpoint was written for".into())
            }
            _ => None,
        }
    }
}
