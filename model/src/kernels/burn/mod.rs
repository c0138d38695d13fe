//! Half-blocks in Burn's tensor operations, for every device: the reference for [`super::cpu`].
//!
//! This folder writes formulas only. It has no buffers and no threads, and reads no value back from
//! the device. Start reading at [`BurnKernels`].
//!
//! ```rust
//! use burn::tensor::Device;
//! use covey_model::config::preset;
//! use covey_model::kernels::burn::BurnKernels;
//! use covey_model::network::Decoder;
//!
//! // Burn's attention operator on a device that would not use it by default.
//! let (config, device) = (preset("tiny").expect("`tiny` is a preset"), Device::flex());
//! let kernels = BurnKernels::with_burn_attention(device.clone());
//! let decoder = Decoder::with_kernels(config, &device, Box::new(kernels));
//! assert_eq!(decoder.config().num_layers, 4);
//! ```

mod attend;
mod attention;
mod burn_kernels;
mod head;
mod mlp;

pub use self::burn_kernels::BurnKernels;
