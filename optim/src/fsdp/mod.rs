//! Fully sharded data parallelism on one machine: plan, shards, all-gather and reduce-scatter.

#[cfg(feature = "burn")]
mod access;
mod balance;
#[cfg(feature = "burn")]
mod collective;
mod error;
mod plan;
#[cfg(feature = "burn")]
mod sharded_parameters;
mod slab;

#[cfg(feature = "burn")]
pub use self::access::ShardBytes;
pub use self::error::FsdpError;
pub use self::plan::{ParameterSize, Piece, Plan};
#[cfg(feature = "burn")]
pub use self::sharded_parameters::ShardedParameters;
pub use self::slab::slab_alignment;
