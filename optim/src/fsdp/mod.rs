//! Fully sharded data parallelism (FSDP) on one machine: each device owns a shard of every
//! parameter.
//!
//! A *member* is one participant of the group, with one device. An FSDP unit (embedding, block or
//! head) is all-gathered before it is used and its gradients are reduce-scattered afterwards.
//! Results do not depend on the number of members. The folder never knows the network: units and
//! parameters are lists of lengths.
//!
//! Start with [`Plan`], which decides ownership, then `sharded_parameters` (a training step) and
//! `access` (checkpoints). Plans need no tensor library; the other parts need the feature `burn`.
//!
//! ```rust
//! use covey_optim::fsdp::{ParameterSize, Plan, slab_alignment};
//!
//! let alignment = slab_alignment(&[256, 64]);
//! let weight = ParameterSize { elements: 256 * 64, alignment };
//! let plan = Plan::new(2, vec![vec![weight]])?;
//!
//! assert_eq!(plan.owned(0), 128 * 64);
//! assert_eq!(plan.pieces(0)[1].range, 128 * 64..256 * 64);
//! assert!(Plan::new(5, vec![vec![weight]]).is_err());
//! # Ok::<(), covey_optim::fsdp::FsdpError>(())
//! ```

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
pub use self::plan::{Piece, Plan};
#[cfg(feature = "burn")]
pub use self::sharded_parameters::ShardedParameters;
pub use self::slab::{ParameterSize, slab_alignment};
