//! Errors of a plan and of values that do not fit it.

/// A plan that cannot be made, or values that do not fit it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FsdpError {
    /// There are no members, or more than parts that can be owned.
    #[error("cannot divide the network among {members} devices, only among 1 to {possible}")]
    Members {
        /// Members requested.
        members: usize,
        /// The largest possible number of members.
        possible: usize,
    },

    /// A parameter has no elements, or an alignment of 0.
    #[error("parameter {parameter} has {elements} elements in parts of {alignment}")]
    Empty {
        /// Place of the parameter in canonical order.
        parameter: usize,
        /// Its number of elements.
        elements: usize,
        /// The alignment of its cuts.
        alignment: usize,
    },

    /// A unit has no parameters.
    #[error("unit {unit} has no parameters")]
    EmptyUnit {
        /// Place of the unit.
        unit: usize,
    },

    /// The number of devices differs from the number of members.
    #[error("{got} devices given, the plan has {expected} members")]
    DeviceCount {
        /// Members of the plan.
        expected: usize,
        /// Devices given.
        got: usize,
    },

    /// The number of parameters differs from that of the plan.
    #[error("{what} of {got} parameters given, the plan has {expected} parameters")]
    ParameterCount {
        /// `weights` or `moments`.
        what: &'static str,
        /// Parameters of the plan.
        expected: usize,
        /// Parameters given.
        got: usize,
    },

    /// The length of values differs from that of their parameter or piece.
    #[error(
        "{what} of parameter {parameter} or of a piece has {got} elements instead of {expected}"
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

    /// A chunk of the compression belongs to two members.
    // Top-k needs all values of a chunk on one device.
    #[error("parameter {parameter} is cut at element {at}, inside a chunk of its compression")]
    ChunkCut {
        /// Place of the parameter in canonical order.
        parameter: usize,
        /// The first element of the second member.
        at: usize,
    },
}

impl FsdpError {
    /// Returns what the user can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Members { possible, .. } if *possible > 0 => {
                Some(format!("use at most {possible} devices"))
            }
            Self::ParameterCount { .. } | Self::Length { .. } => {
                Some("resume with the model of the checkpoint".into())
            }
            _ => None,
        }
    }
}
