//! The half-blocks on slices of a CPU.

pub(crate) mod attention;
mod cpu_kernels;
mod head;
mod matrix;
mod mlp;
mod pool;
mod tensors;
mod vector;

pub use self::cpu_kernels::CpuKernels;
pub(crate) use self::cpu_kernels::rows_per_task;
pub(crate) use self::tensors::is_cpu;
