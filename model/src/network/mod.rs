//! The decoder: blocks, the passes forward and backward, and where the weights come from.

mod block;
pub(crate) mod decoder;
mod forward_backward;
mod weight_source;

pub use self::decoder::{Decoder, TokenBatch, Weights};
pub use self::forward_backward::ForwardBackward;
pub use self::weight_source::{Unit, WeightSource};
