//! The half-blocks in Burn's tensor operations, for every device.

mod attend;
mod attention;
mod burn_kernels;
mod head;
mod mlp;

pub use self::burn_kernels::BurnKernels;
