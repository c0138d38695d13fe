//! One model on several devices of one machine: every device owns a part of the weights, their gradients and moments,
//! and whole weights exist only while a unit of the network is computed (ZeRO-3, Rajbhandari et al., 2020).
//!
//! | question | file |
//! |---|---|
//! | Who owns which elements of which parameter? | [`plan`] |
//! | Where may a tensor be cut? | [`grain`] |
//! | Where are the cuts, so that all own about the same? | `cuts` |
//! | How does a training step use what lies on several devices? | `shards` |
//! | How is that read and set, for checkpoints? | `contents` |
//! | How do pieces become whole weights, and sums become pieces? | `collective` |
//! | What can go wrong? | [`error`] |
//!
//! A *member* is one share of the work: a device, or one of several members on the same device. A *unit* is the part of
//! the network whose weights are needed at the same time: the embedding, a block, the head.

#[cfg(feature = "burn")]
mod collective;
#[cfg(feature = "burn")]
mod contents;
mod cuts;
pub mod error;
pub mod grain;
pub mod plan;
#[cfg(feature = "burn")]
mod shards;

#[cfg(feature = "burn")]
pub use contents::ShardBytes;
pub use error::FsdpError;
pub use grain::slab_grain;
pub use plan::{ParameterSize, Piece, Plan};
#[cfg(feature = "burn")]
pub use shards::Shards;
