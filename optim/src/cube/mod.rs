//! Kernels for GPUs: one source for CUDA and wgpu, compiled for the device when a kernel is first launched.
//!
//! | question | file |
//! |---|---|
//! | Which values of a chunk are sent? | [`selection`] |
//! | How far and where does a weight move? | `update` |
//!
//! What peers publish must not depend on hardware, so [`selection`] gives the positions that the CPU gives, bit for bit.
//! An update of weights is private to a peer: there the device may fuse a product and a sum into one rounding.

pub mod selection;
pub(crate) mod update;

pub use selection::CubeSelector;
