//! The half-blocks of the decoder, forward and backward, behind one trait.

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
