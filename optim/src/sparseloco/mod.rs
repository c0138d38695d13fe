//! SparseLoCo (arXiv 2508.15706): peers exchange sparse, 2-bit pseudo-gradients with error
//! feedback.
//!
//! In each round a peer compresses its pseudo-gradient into a [`Delta`]; all peers average the
//! included deltas and apply the result as one outer step. Peers must agree on the result bit by
//! bit, so arithmetic of this folder uses only `+ - * /` and `sqrt`, in a fixed order. The folder
//! never encodes bytes ([`codec`](crate::codec)) and never selects peers.
//!
//! Start with [`Compressor`] (the sending side), then [`aggregate()`] and [`outer_step()`] (the
//! receiving side). [`Schema`] fixes the form of all deltas.
//!
//! ```rust
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//!
//! use covey_optim::sparseloco::{
//!     Clip, Compressor, MeanOver, Profile, Schema, aggregate, outer_step,
//! };
//!
//! let schema = Arc::new(Schema::new(Profile::Covey, 64, [("weight", &[64, 64][..])])?);
//! let pseudo_gradient = vec![1e-3; 64 * 64];
//! let delta = Compressor::new(Arc::clone(&schema), 0.95).compress(&[&pseudo_gradient])?;
//!
//! let step = aggregate(&BTreeMap::from([("peer", delta)]), MeanOver::Senders, Clip::MedianNorm)?;
//! let mut weights = vec![0.0; 64 * 64];
//! outer_step(&schema, &mut [&mut weights], &step, 0.65)?;
//! assert_eq!(weights.iter().filter(|weight| **weight < 0.0).count(), 64);
//! # Ok::<(), covey_optim::sparseloco::SparseLocoError>(())
//! ```

mod aggregate;
pub mod chunks;
mod compressor;
mod config;
mod delta;
mod error;
mod outer_schedule;
mod outer_step;
pub(crate) mod quantizer;
mod schema;
pub mod top_k;

pub use self::aggregate::{Aggregate, aggregate, aggregate_tensor, clip_scales};
pub use self::compressor::Compressor;
pub use self::config::{CHUNK_LIMIT, Clip, MeanOver, Profile, SparseLocoConfig};
pub(crate) use self::delta::count_codes;
pub use self::delta::{CodedValue, Delta, TensorDelta};
pub use self::error::SparseLocoError;
pub use self::outer_schedule::{OuterRate, OuterSchedule};
pub use self::outer_step::outer_step;
pub use self::quantizer::{LEVEL_LIMIT, ReferenceFit, TwoLevelFit};
pub use self::schema::{Schema, TensorSpec};
