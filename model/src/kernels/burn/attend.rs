//! Causal softmax attention over heads, forward and backward.
//!
//! Two methods: with all scores as a tensor, or with Burn's operator. The operator is
//! FlashAttention (arXiv 2205.14135) on devices that have it, and its scores never reach memory.
//! Explicit scores need `heads * length^2` numbers per window; they are the reference.

use burn::backend::Dispatch;
use burn::backend::ops::ModuleOps;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor};

use crate::kernels::kernels::{AttentionInputs, BlockContext, SavedAttention};
use crate::kernels::operations::{fp32, repeat_heads, sum_heads};

/// Method of computing attention.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attend {
    /// Explicit scores of all queries and keys.
    Scores,
    /// Burn's attention operator with log-sum-exp, and its backward pass.
    Burn,
}

/// Queries `[b, h, s, e]`, keys and values `[b, k, s, e]`.
type Heads = [Tensor<4>; 3];

impl Attend {
    /// The outputs of the heads, `[rows, heads * head_dim]`, and the log-sum-exp of the scaled
    /// scores, `[sequences * heads, length]`, in fp32.
    pub(super) fn forward(
        self,
        context: BlockContext<'_>,
        inputs: &AttentionInputs,
    ) -> (Tensor<2>, Tensor<2>) {
        let AttentionInputs { query, key, value } = inputs;
        let heads = heads(context, [query.clone(), key.clone(), value.clone()]);
        let (out_bhse, log_sum_exp_bhs) = match self {
            Self::Scores => scores_forward(heads, scale(context)),
            Self::Burn => burn_forward(heads, scale(context)),
        };
        let [batch, heads, length] = log_sum_exp_bhs.dims();
        (merge_heads(out_bhse), log_sum_exp_bhs.reshape([batch * heads, length]))
    }

    /// Gradients of rotated queries, rotated keys, and values, from that of the heads' outputs.
    pub(super) fn backward(
        self,
        context: BlockContext<'_>,
        saved: SavedAttention,
        gradient: Tensor<2>,
    ) -> Heads {
        let SavedAttention {
            inputs: AttentionInputs { query, key, value },
            context: out,
            log_sum_exp,
        } = saved;
        let config = context.config;
        let [out, gradient] =
            [out, gradient].map(|x| split_heads(context, x, config.num_heads).swap_dims(1, 2));
        let forward = Forward {
            heads: heads(context, [query, key, value]),
            out,
            log_sum_exp: log_sum_exp.reshape([
                context.batch.sequences,
                config.num_heads,
                context.batch.length,
            ]),
        };
        match self {
            Self::Scores => scores_backward(forward, gradient, scale(context)),
            Self::Burn => burn_backward(forward, gradient, scale(context)),
        }
    }
}

/// Values of the forward pass that the backward pass reads.
struct Forward {
    heads: Heads,
    out: Tensor<4>,
    log_sum_exp: Tensor<3>,
}

/// Factor on the scores: 1 / sqrt(head_dim).
fn scale(context: BlockContext<'_>) -> f64 {
    (context.config.head_dim as f64).powf(-0.5)
}

fn heads(context: BlockContext<'_>, inputs: [Tensor<2>; 3]) -> Heads {
    let config = context.config;
    let [query, key, value] = inputs;
    [(query, config.num_heads), (key, config.num_kv_heads), (value, config.num_kv_heads)]
        .map(|(x, heads)| split_heads(context, x, heads).swap_dims(1, 2))
}

/// `[rows, h * e]` to `[b, s, h, e]`.
pub(super) fn split_heads(context: BlockContext<'_>, x_rd: Tensor<2>, heads: usize) -> Tensor<4> {
    x_rd.reshape([context.batch.sequences, context.batch.length, heads, context.config.head_dim])
}

/// `[b, h, s, e]` to `[rows, h * e]`.
pub(super) fn merge_heads(x_bhse: Tensor<4>) -> Tensor<2> {
    let [batch, heads, length, width] = x_bhse.dims();
    x_bhse.swap_dims(1, 2).reshape([batch * length, heads * width])
}

/// Scaled scores in fp32, with minus infinity at keys after the query.
fn scores(query_bhse: Tensor<4>, key_bhse: Tensor<4>, scale: f64) -> Tensor<4> {
    let length = query_bhse.dims()[2];
    // The product is in the compute dtype; scale and mask in fp32, as the softmax that follows.
    let scores = fp32(query_bhse.matmul(key_bhse.swap_dims(2, 3))) * scale;
    let future = Tensor::<2, Bool>::tril_mask([length, length], 0, &scores.device());
    scores.mask_fill(future.unsqueeze(), f32::NEG_INFINITY)
}

fn scores_forward([query, key, value]: Heads, scale: f64) -> (Tensor<4>, Tensor<3>) {
    let (group, dtype) = (query.dims()[1] / key.dims()[1], value.dtype());
    let scores = scores(query, repeat_heads(key, group), scale);
    // The maximum is subtracted first, or `exp` would overflow at scores above 88.
    let max = scores.clone().max_dim(3);
    let log_sum_exp = (scores.clone() - max.clone()).exp().sum_dim(3).log() + max;
    let probabilities = (scores - log_sum_exp.clone()).exp().cast(dtype);
    (probabilities.matmul(repeat_heads(value, group)), log_sum_exp.squeeze_dim(3))
}

fn scores_backward(forward: Forward, out_gradient: Tensor<4>, scale: f64) -> Heads {
    let Forward { heads: [query, key, value], log_sum_exp, .. } = forward;
    let (group, dtype) = (query.dims()[1] / key.dims()[1], query.dtype());
    let (key, value) = (repeat_heads(key, group), repeat_heads(value, group));
    let probabilities =
        (scores(query.clone(), key.clone(), scale) - log_sum_exp.unsqueeze_dim(3)).exp();

    // Backward pass of standard attention (arXiv 2307.08691, section 2.2): dV = P^T dO, dP = dO
    // V^T, dS = P * (dP - rowsum(dP * P)), then dQ = dS K and dK = dS^T Q.
    let value_gradient =
        probabilities.clone().cast(dtype).swap_dims(2, 3).matmul(out_gradient.clone());
    let probability_gradient = fp32(out_gradient.matmul(value.swap_dims(2, 3)));
    let row_sum = (probability_gradient.clone() * probabilities.clone()).sum_dim(3);
    let score_gradient = (probabilities * (probability_gradient - row_sum) * scale).cast(dtype);
    let query_gradient = score_gradient.clone().matmul(key);
    let key_gradient = score_gradient.swap_dims(2, 3).matmul(query);
    [query_gradient, sum_heads(key_gradient, group), sum_heads(value_gradient, group)]
}

fn options(scale: f64) -> AttentionModuleOptions {
    AttentionModuleOptions {
        scale: Some(scale),
        is_causal: true,
        ..AttentionModuleOptions::default()
    }
}

// The operator is not part of `Tensor`'s interface, so these two go through the dispatch layer of
// Burn.
fn burn_forward([query, key, value]: Heads, scale: f64) -> (Tensor<4>, Tensor<3>) {
    let [query, key, value] = [query, key, value].map(Tensor::into_dispatch);
    let (out, log_sum_exp) = Dispatch::attention_with_logsumexp(query, key, value, options(scale));
    (Tensor::from_dispatch(out), Tensor::from_dispatch(log_sum_exp))
}

fn burn_backward(forward: Forward, out_gradient: Tensor<4>, scale: f64) -> Heads {
    let Forward { heads, out, log_sum_exp } = forward;
    let [query, key, value] = heads.map(Tensor::into_dispatch);
    let (out, log_sum_exp) = (out.into_dispatch(), log_sum_exp.into_dispatch());
    let gradients = Dispatch::attention_backward(
        query,
        key,
        value,
        out,
        log_sum_exp,
        out_gradient.into_dispatch(),
        options(scale),
    );
    [gradients.query_grad, gradients.key_grad, gradients.value_grad].map(Tensor::from_dispatch)
}
