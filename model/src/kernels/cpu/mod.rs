//! Half-blocks on slices of the CPU: rows in blocks, matrix products between, buffers from a pool.
//!
//! Results have the same bits on any number of threads: work is divided by shape, and sums are
//! taken in the order of the parts. They may differ between CPUs with and without FMA. This folder
//! computes in fp32 only. Start reading at [`CpuKernels`].
//!
//! ```rust
//! use burn::tensor::{Device, Tensor};
//! use covey_model::kernels::Kernels;
//! use covey_model::kernels::cpu::CpuKernels;
//!
//! let device = Device::flex();
//! let kernels = CpuKernels::new(device.clone());
//! let mut sums = Tensor::<1>::zeros([6], &device);
//! let gradient = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device);
//! kernels.embed_backward(&[2, 2], gradient, &mut sums);
//! let sums = sums.into_data().try_into_vec::<f32>().ok();
//! assert_eq!(sums, Some(vec![0.0, 0.0, 0.0, 0.0, 4.0, 6.0]));
//! ```

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
