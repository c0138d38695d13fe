//! SparseLoCo: what peers say to each other once a round, and what everybody makes of it.
//!
//! | question | file |
//! |---|---|
//! | Which rules and constants? | [`profile`] |
//! | Where does one chunk of a tensor end? | [`chunking`] |
//! | What do all peers know of each other's deltas beforehand? | [`schema`] |
//! | Which frequencies make up a chunk, if those are sent? | [`transform`] |
//! | Which values are sent? | [`selection`] |
//! | Who finds them, on which device? | [`select`] |
//! | Who finds them in which part of a tensor? | [`shares`] |
//! | Which numbers are taken at all? | `range` |
//! | What do two bits stand for? | [`quantizer`] |
//! | What is sent, in memory? | [`delta`] |
//! | What becomes of the rest? | [`compressor`] |
//! | What do many deltas amount to? | [`mod@aggregate`] |
//! | How do the shared weights move? | [`mod@outer_step`] |
//!
//! Everything works on slices of plain `f32`, in parallel, and gives the same bits for any number of threads and any
//! instruction set: parallel parts never share a sum, and no sum is reordered.

pub mod aggregate;
pub mod chunking;
pub mod compressor;
pub mod delta;
pub mod error;
pub mod outer_step;
pub mod profile;
mod published_order;
pub mod quantizer;
pub(crate) mod range;
pub mod schema;
pub mod select;
pub mod selection;
pub mod shares;
pub mod transform;

pub use aggregate::{Aggregate, aggregate, aggregate_tensor, clip_scales};
pub use chunking::ChunkGrid;
pub use compressor::Compressor;
pub use delta::{Delta, Entry, TensorDelta};
pub use error::SparseLocoError;
pub use outer_step::{OuterRate, OuterSchedule, outer_step};
pub use profile::{Clip, MeanOver, Profile, SparseLocoConfig};
pub use quantizer::{ReferenceFit, TwoLevelFit};
pub use schema::{Schema, TensorSpec};
pub use select::{CpuSelect, Select, Work};
pub use shares::Share;
pub use transform::BlockTransform;
