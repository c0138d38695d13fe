//! Half-blocks of the decoder, forward and backward, behind the trait [`Kernels`].
//!
//! Two implementations compute the same functions: [`burn`] on every device, [`cpu`] on slices and
//! several times faster. `tests/kernels.rs` compares them. The order of blocks and the optimizer
//! are decided elsewhere. Start reading at [`Kernels`].
//!
//! ```rust
//! use burn::tensor::{Device, Tensor};
//! use covey_model::kernels::kernels_for;
//!
//! let device = Device::flex();
//! let kernels = kernels_for(&device);
//! let table = Tensor::<1>::from_floats([0.0, 0.1, 1.0, 1.1, 2.0, 2.1], &device);
//! let rows = kernels.embed(&table, &[2, 0], 2);
//! assert_eq!(rows.into_data().try_into_vec::<f32>().ok(), Some(vec![2.0, 2.1, 0.0, 0.1]));
//! ```

pub mod burn;
pub mod cpu;
mod kernels;
mod losses;
mod operations;

pub use self::kernels::{
    AttentionInputs, AttentionWeights, Backward, BatchShape, BlockContext, Head, HeadGradients,
    Kernels, MlpWeights, SavedAttention, SavedMlp, Targets, kernels_for,
};
pub(crate) use self::kernels::{MAX_DEVICE_LOGITS, MAX_LOGITS, logit_rows_at_once};
pub use self::losses::Losses;
pub(crate) use self::operations::{Angles, fp32, linear, repeat_heads, rms_norm};
