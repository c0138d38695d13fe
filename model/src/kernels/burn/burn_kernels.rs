//! Kernels of tensor operations, in the dtype of the weights.
//!
//! With bf16 weights, matrix products, residual stream and saved activations are bf16, as usual in
//! mixed-precision training. In fp32 with all weights are: statistics of RMSNorm, rotation,
//! softmax, log-sum-exp, cross-entropy, and sums of gradients.
//!
//! Shape suffixes: r rows, d hidden, b sequences, s tokens, h heads, k kv heads, e head width, v
//! vocabulary.

use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::attend::Attend;
use crate::kernels::burn::attention;
use crate::kernels::burn::head;
use crate::kernels::burn::mlp;
use crate::kernels::cpu;
use crate::kernels::kernels::{
    AttentionInputs, AttentionWeights, Backward, BlockContext, Head, HeadGradients, Kernels,
    MlpWeights, SavedAttention, SavedMlp, Targets, logit_rows_at_once,
};
use crate::kernels::losses::Losses;
use crate::kernels::operations::fp32;

/// Half-blocks as tensor operations on one device.
#[derive(Debug)]
pub struct BurnKernels {
    pub(super) device: Device,
    pub(super) attend: Attend,
    max_logits: usize,
}

impl BurnKernels {
    /// Kernels for `device`: attention with Burn's operator, or with explicit scores on the CPU.
    pub fn new(device: Device) -> Self {
        // On the CPU these kernels are the reference for the fast ones, so they use the plain
        // formulas.
        if cpu::is_cpu(&device) {
            Self { device, attend: Attend::Scores, max_logits: crate::kernels::kernels::MAX_LOGITS }
        } else {
            Self {
                device,
                attend: Attend::Burn,
                max_logits: crate::kernels::kernels::MAX_DEVICE_LOGITS,
            }
        }
    }

    /// Kernels with Burn's attention operator on every device, for tests of the GPU's code path.
    pub fn with_burn_attention(device: Device) -> Self {
        Self { attend: Attend::Burn, ..Self::new(device) }
    }

    /// Token ids on the device. Burn indexes with 32-bit integers there; ids are below 2^24.
    pub(super) fn tokens(&self, tokens: &[u32]) -> Tensor<1, Int> {
        let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        Tensor::from_data(TensorData::new(ids, [tokens.len()]), &self.device)
    }

    /// Parts of the rows with few enough logits: (first row, number of rows).
    pub(super) fn logit_parts(
        &self,
        context: BlockContext<'_>,
    ) -> impl Iterator<Item = (usize, usize)> {
        let rows = context.batch.rows();
        let at_once = logit_rows_at_once(self.max_logits, context.config.vocab_size);
        (0..rows).step_by(at_once).map(move |first| (first, at_once.min(rows - first)))
    }
}

impl Kernels for BurnKernels {
    fn embed(&self, table: &Tensor<1>, tokens: &[u32], width: usize) -> Tensor<2> {
        table.clone().reshape([-1, width as i32]).select(0, self.tokens(tokens))
    }

    fn embed_backward(&self, tokens: &[u32], gradient: Tensor<2>, table_gradient: &mut Tensor<1>) {
        let width = gradient.dims()[1] as i32;
        table_gradient.inplace(|table| {
            let table = table.reshape([-1, width]);
            table
                .select_assign(0, self.tokens(tokens), fp32(gradient), IndexingUpdateOp::Add)
                .reshape([-1])
        });
    }

    fn attention(
        &self,
        context: BlockContext<'_>,
        weights: &AttentionWeights,
        input: &Tensor<2>,
    ) -> (Tensor<2>, SavedAttention) {
        attention::forward(self, context, weights, input)
    }

    fn attention_inputs(
        &self,
        context: BlockContext<'_>,
        weights: &AttentionWeights,
        input: &Tensor<2>,
    ) -> AttentionInputs {
        attention::inputs(self, context, weights, input)
    }

    fn attention_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, AttentionWeights, SavedAttention>,
        gradients: &mut AttentionWeights,
    ) -> Tensor<2> {
        attention::backward(self, context, start, gradients)
    }

    fn mlp(
        &self,
        context: BlockContext<'_>,
        weights: &MlpWeights,
        input: &Tensor<2>,
    ) -> (Tensor<2>, SavedMlp) {
        mlp::forward(context, weights, input)
    }

    fn mlp_inputs(
        &self,
        context: BlockContext<'_>,
        weights: &MlpWeights,
        input: &Tensor<2>,
    ) -> SavedMlp {
        mlp::inputs(context, weights, input)
    }

    fn mlp_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, MlpWeights, SavedMlp>,
        gradients: &mut MlpWeights,
    ) -> Tensor<2> {
        mlp::backward(context, start, gradients)
    }

    fn logits(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: &Tensor<2>,
    ) -> Tensor<2> {
        head::logits(context, weights, input.clone())
    }

    fn loss(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: &Tensor<2>,
        targets: &[u32],
    ) -> Losses {
        head::loss(self, context, weights, input, targets)
    }

    fn loss_backward(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: Tensor<2>,
        targets: Targets<'_>,
        gradients: HeadGradients<'_>,
    ) -> (Losses, Tensor<2>) {
        head::loss_backward(self, context, weights, input, targets, gradients)
    }
}
