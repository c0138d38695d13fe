//! The half-blocks written with Burn's tensor operations: every device, and the reference for the fast ones.
//!
//! Shape suffixes: r rows, d hidden, b sequences, s tokens, h heads, k kv heads, e head width, v vocabulary.

use burn::tensor::activation::{sigmoid, silu};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use super::operations::{
    Angles, add, add_weight_gradient, linear, linear_backward, repeat_heads, rms_norm, rms_norm_backward, sum_heads,
};
use super::{
    AttentionWeights, Backward, BlockContext, Head, HeadGradients, Kernels, MlpWeights, SavedAttention, SavedMlp,
    Targets, logit_rows_at_once,
};

/// Plain tensor operations on one device.
#[derive(Debug)]
pub struct ComposedKernels {
    device: Device,
}

impl ComposedKernels {
    /// Kernels for tensors of `device`.
    pub fn new(device: Device) -> Self {
        Self { device }
    }

    fn tokens(&self, tokens: &[u32]) -> Tensor<1, Int> {
        let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        Tensor::from_data(TensorData::new(ids, [tokens.len()]), &self.device)
    }

    /// Calls `body` for every run of rows whose logits fit into memory together: (first row, number of rows).
    fn for_rows(&self, context: BlockContext<'_>, mut body: impl FnMut(usize, usize)) {
        let rows = context.batch.rows();
        let at_once = logit_rows_at_once(context.config.vocab_size);
        (0..rows).step_by(at_once).for_each(|first| body(first, at_once.min(rows - first)));
    }
}

/// Attention of one batch in `[b, h, s, e]`, keys and values already repeated per query head.
struct Attention {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    scale: f64,
}

impl Attention {
    fn new(context: BlockContext<'_>, query_rd: Tensor<2>, key_rd: Tensor<2>, value_rd: Tensor<2>) -> Self {
        let config = context.config;
        let group = config.num_heads / config.num_kv_heads;
        let heads = |x: Tensor<2>, heads: usize| split_heads(context, x, heads).swap_dims(1, 2);
        Self {
            query: heads(query_rd, config.num_heads),
            key: repeat_heads(heads(key_rd, config.num_kv_heads), group),
            value: repeat_heads(heads(value_rd, config.num_kv_heads), group),
            scale: (config.head_dim as f64).powf(-0.5),
        }
    }

    /// Scaled scores, minus infinity where a query must not look.
    fn scores(&self) -> Tensor<4> {
        let length = self.query.dims()[2];
        let scores = self.query.clone().matmul(self.key.clone().swap_dims(2, 3)) * self.scale;
        let future = Tensor::<2, burn::tensor::Bool>::tril_mask([length, length], 0, &scores.device());
        scores.mask_fill(future.unsqueeze(), f32::NEG_INFINITY)
    }
}

fn split_heads(context: BlockContext<'_>, x_rd: Tensor<2>, heads: usize) -> Tensor<4> {
    x_rd.reshape([context.batch.sequences, context.batch.length, heads, context.config.head_dim])
}

/// `[b, h, s, e]` to `[rows, h * e]`.
fn merge_heads(x_bhse: Tensor<4>) -> Tensor<2> {
    let [batch, heads, length, width] = x_bhse.dims();
    x_bhse.swap_dims(1, 2).reshape([batch * length, heads * width])
}

fn log_sum_exp(scores_bhss: &Tensor<4>) -> Tensor<4> {
    let most = scores_bhss.clone().max_dim(3);
    (scores_bhss.clone() - most.clone()).exp().sum_dim(3).log() + most
}

fn angles(context: BlockContext<'_>, device: &Device) -> Angles {
    Angles::new(context.rope, context.config.head_dim / 2, 0, context.batch.length, device)
}

impl Kernels for ComposedKernels {
    fn embed(&self, table: &Tensor<1>, tokens: &[u32], width: usize) -> Tensor<2> {
        table.clone().reshape([-1, width as i32]).select(0, self.tokens(tokens))
    }

    fn embed_backward(&self, tokens: &[u32], gradient: Tensor<2>, table_gradient: &mut Tensor<1>) {
        let table = table_gradient.clone().reshape([-1, gradient.dims()[1] as i32]);
        let summed = table.select_assign(0, self.tokens(tokens), gradient, IndexingUpdateOp::Add);
        *table_gradient = summed.reshape([-1]);
    }

    fn attention(
        &self,
        context: BlockContext<'_>,
        weights: &AttentionWeights,
        input: &Tensor<2>,
    ) -> (Tensor<2>, SavedAttention) {
        let config = context.config;
        let normed = rms_norm(input.clone(), &weights.norm, config.norm_epsilon);
        let angles = angles(context, &self.device);
        let rotated = |weight: &Tensor<1>, heads: usize| {
            let projected = linear(normed.clone(), weight);
            let width = projected.dims()[1];
            angles.rotate(split_heads(context, projected, heads)).reshape([context.batch.rows(), width])
        };
        let query = rotated(&weights.query, config.num_heads);
        let key = rotated(&weights.key, config.num_kv_heads);
        let value = linear(normed.clone(), &weights.value);

        let attention = Attention::new(context, query.clone(), key.clone(), value.clone());
        let scores = attention.scores();
        let log_sum_exp = log_sum_exp(&scores);
        let mixed = merge_heads((scores - log_sum_exp.clone()).exp().matmul(attention.value));
        let output = input.clone() + linear(mixed.clone(), &weights.output);
        let log_sum_exp = log_sum_exp.reshape([context.batch.sequences * config.num_heads, context.batch.length]);
        (output, SavedAttention { query, key, value, context: mixed, log_sum_exp })
    }

    fn attention_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, AttentionWeights, SavedAttention>,
        gradients: &mut AttentionWeights,
    ) -> Tensor<2> {
        let Backward { weights, input, saved, gradient } = start;
        let config = context.config;
        add_weight_gradient(&mut gradients.output, gradient.clone(), saved.context.clone());
        let mixed_gradient = linear_backward(gradient.clone(), &weights.output, config.query_width());
        let inputs = attention_core_backward(context, saved, mixed_gradient, &self.device);

        let normed = rms_norm(input.clone(), &weights.norm, config.norm_epsilon);
        let into = [&mut gradients.query, &mut gradients.key, &mut gradients.value];
        let through = [&weights.query, &weights.key, &weights.value];
        let mut normed_gradient = Tensor::zeros_like(&normed);
        for ((gradient, sum), weight) in inputs.into_iter().zip(into).zip(through) {
            add_weight_gradient(sum, gradient.clone(), normed.clone());
            normed_gradient = normed_gradient + linear_backward(gradient, weight, config.hidden_size);
        }
        let (input_gradient, norm_gradient) =
            rms_norm_backward(input, &weights.norm, config.norm_epsilon, normed_gradient);
        add(&mut gradients.norm, norm_gradient);
        gradient + input_gradient
    }

    fn mlp(&self, context: BlockContext<'_>, weights: &MlpWeights, input: &Tensor<2>) -> (Tensor<2>, SavedMlp) {
        let normed = rms_norm(input.clone(), &weights.norm, context.config.norm_epsilon);
        let gate = linear(normed.clone(), &weights.gate);
        let up = linear(normed, &weights.up);
        let output = input.clone() + linear(silu(gate.clone()) * up.clone(), &weights.down);
        (output, SavedMlp { gate, up })
    }

    fn mlp_backward(
        &self,
        context: BlockContext<'_>,
        start: Backward<'_, MlpWeights, SavedMlp>,
        gradients: &mut MlpWeights,
    ) -> Tensor<2> {
        let Backward { weights, input, saved, gradient } = start;
        let config = context.config;
        let SavedMlp { gate, up } = saved;
        let sigmoid = sigmoid(gate.clone());
        let activated = gate * sigmoid.clone();
        add_weight_gradient(&mut gradients.down, gradient.clone(), activated.clone() * up.clone());
        let product_gradient = linear_backward(gradient.clone(), &weights.down, config.intermediate_size);
        let up_gradient = product_gradient.clone() * activated.clone();
        let slope = sigmoid.clone() + activated * (sigmoid.neg() + 1.0);
        let gate_gradient = product_gradient * up * slope;

        let normed = rms_norm(input.clone(), &weights.norm, config.norm_epsilon);
        add_weight_gradient(&mut gradients.gate, gate_gradient.clone(), normed.clone());
        add_weight_gradient(&mut gradients.up, up_gradient.clone(), normed);
        let normed_gradient = linear_backward(gate_gradient, &weights.gate, config.hidden_size)
            + linear_backward(up_gradient, &weights.up, config.hidden_size);
        let (input_gradient, norm_gradient) =
            rms_norm_backward(input, &weights.norm, config.norm_epsilon, normed_gradient);
        add(&mut gradients.norm, norm_gradient);
        gradient + input_gradient
    }

    fn logits(&self, context: BlockContext<'_>, weights: Head<&Tensor<1>>, input: &Tensor<2>) -> Tensor<2> {
        linear(rms_norm(input.clone(), weights.norm, context.config.norm_epsilon), weights.projection)
    }

    fn loss(&self, context: BlockContext<'_>, weights: Head<&Tensor<1>>, input: &Tensor<2>, targets: &[u32]) -> f64 {
        let mut loss = 0.0;
        self.for_rows(context, |first, count| {
            let logits = self.logits(context, weights, &input.clone().narrow(0, first, count));
            loss += cross_entropy(logits, self.tokens(&targets[first..first + count])).0;
        });
        loss
    }

    fn loss_backward(
        &self,
        context: BlockContext<'_>,
        weights: Head<&Tensor<1>>,
        input: Tensor<2>,
        targets: Targets<'_>,
        gradients: HeadGradients<'_>,
    ) -> (f64, Tensor<2>) {
        let config = context.config;
        let mut loss = 0.0;
        let mut input_gradients = Vec::new();
        self.for_rows(context, |first, count| {
            let input = input.clone().narrow(0, first, count);
            let normed = rms_norm(input.clone(), weights.norm, config.norm_epsilon);
            let logits = linear(normed.clone(), weights.projection);
            let tokens = self.tokens(&targets.tokens[first..first + count]);
            let (part, logits_gradient) = cross_entropy(logits, tokens);
            loss += part;
            let logits_gradient = logits_gradient * targets.scale;
            add_weight_gradient(gradients.projection, logits_gradient.clone(), normed);
            let normed_gradient = linear_backward(logits_gradient, weights.projection, config.hidden_size);
            let (input_gradient, norm_gradient) =
                rms_norm_backward(input, weights.norm, config.norm_epsilon, normed_gradient);
            add(gradients.norm, norm_gradient);
            input_gradients.push(input_gradient);
        });
        (loss, Tensor::cat(input_gradients, 0))
    }
}

/// Gradients of the projections of queries, keys and values, `[rows, width]` each.
fn attention_core_backward(
    context: BlockContext<'_>,
    saved: SavedAttention,
    mixed_gradient: Tensor<2>,
    device: &Device,
) -> [Tensor<2>; 3] {
    let config = context.config;
    let group = config.num_heads / config.num_kv_heads;
    let attention = Attention::new(context, saved.query, saved.key, saved.value);
    let [batch, heads, length, _] = attention.query.dims();
    let probabilities = (attention.scores() - saved.log_sum_exp.reshape([batch, heads, length, 1])).exp();
    let out_gradient = split_heads(context, mixed_gradient, heads).swap_dims(1, 2);

    let value_gradient = probabilities.clone().swap_dims(2, 3).matmul(out_gradient.clone());
    let probability_gradient = out_gradient.matmul(attention.value.swap_dims(2, 3));
    let dot = (probability_gradient.clone() * probabilities.clone()).sum_dim(3);
    let score_gradient = probabilities * (probability_gradient - dot) * attention.scale;
    let query_gradient = score_gradient.clone().matmul(attention.key);
    let key_gradient = score_gradient.swap_dims(2, 3).matmul(attention.query);

    let angles = angles(context, device);
    let rows = context.batch.rows();
    let turned_back = |x_bhse: Tensor<4>| {
        let x_bshe = angles.rotate_back(x_bhse.swap_dims(1, 2));
        let width = x_bshe.dims()[2] * x_bshe.dims()[3];
        x_bshe.reshape([rows, width])
    };
    [
        turned_back(query_gradient),
        turned_back(sum_heads(key_gradient, group)),
        merge_heads(sum_heads(value_gradient, group)),
    ]
}

/// Sum of the rows' losses, and the gradient of that sum, `[rows, vocab]`.
fn cross_entropy(logits_rv: Tensor<2>, targets_r: Tensor<1, Int>) -> (f64, Tensor<2>) {
    let [rows, vocab] = logits_rv.dims();
    let most_r1 = logits_rv.clone().max_dim(1);
    let exponentials_rv = (logits_rv.clone() - most_r1.clone()).exp();
    let sums_r1 = exponentials_rv.clone().sum_dim(1);
    let targets_r1 = targets_r.clone().reshape([rows, 1]);
    let losses_r1 = sums_r1.clone().log() + most_r1 - logits_rv.gather(1, targets_r1);
    let one_hot_rv = targets_r.one_hot::<2>(vocab).float();
    let losses: Vec<f32> =
        losses_r1.into_data().convert::<f32>().try_into_vec().expect("losses were converted to fp32");
    (losses.into_iter().map(f64::from).sum(), exponentials_rv / sums_r1 - one_hot_rv)
}
