//! SparseLoCo (arXiv 2508.15706): pseudo-gradients, top-k with error feedback, and the outer step.

mod aggregate;
pub mod chunks;
mod compressor;
mod config;
mod delta;
mod error;
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
pub use self::outer_step::{OuterRate, OuterSchedule, outer_step};
pub use self::quantizer::{LEVEL_LIMIT, ReferenceFit, TwoLevelFit};
pub use self::schema::{Schema, TensorSpec};
