//! One token after another, with keys and values of the past kept.

use burn::tensor::{Int, Tensor, TensorData};

use crate::config::{AttentionParameters, BlockParameters, MlpParameters, ModelConfig};
use crate::error::BatchError;
use crate::kernels::{Angles, fp32, linear, repeat_heads, rms_norm};
use crate::network::decoder::head;
use crate::network::{Decoder, Weights};

/// A text being written: the network, its weights, and what it remembers of the tokens so far.
///
/// Works in plain tensor operations on any device: one token at a time leaves nothing to fuse.
#[derive(Debug)]
pub struct Generator<'a> {
    decoder: &'a Decoder,
    weights: &'a Weights,
    past: Vec<Past>,
    position: usize,
}

/// Keys and values of one block so far, `[1, kv_heads, tokens, head_dim]`.
#[derive(Clone, Debug, Default)]
struct Past {
    key: Option<Tensor<4>>,
    value: Option<Tensor<4>>,
}

impl<'a> Generator<'a> {
    /// Starts with no tokens read.
    pub fn new(decoder: &'a Decoder, weights: &'a Weights) -> Self {
        Self { decoder, weights, past: vec![Past::default(); weights.blocks.len()], position: 0 }
    }

    /// Number of tokens read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Reads `tokens` and returns the logits of the token to follow, one per id of the vocabulary.
    ///
    /// # Errors
    /// [`BatchError`] if there are none, too many for the network's positions, or ids outside its vocabulary.
    pub fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, BatchError> {
        let config = self.decoder.config();
        if tokens.is_empty() {
            return Err(BatchError::Ragged { tokens: 0, sequences: 1 });
        }
        crate::network::decoder::check_tokens(tokens, self.position + tokens.len(), config)?;
        let mut hidden = self.embed(tokens);
        let half = config.head_dim / 2;
        let angles = Angles::new(
            self.decoder.rope(),
            half,
            self.position,
            tokens.len(),
            self.decoder.device(),
        );
        for (block, past) in self.weights.blocks.iter().zip(&mut self.past) {
            let BlockParameters { attention, mlp } = block;
            hidden = attend(config, attention, &angles, past, hidden);
            hidden = feed_forward(config, mlp, hidden);
        }
        self.position += tokens.len();
        Ok(self.logits_of_last(hidden))
    }

    fn embed(&self, tokens: &[u32]) -> Tensor<2> {
        let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        let ids: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(ids, [tokens.len()]), self.decoder.device());
        let width = self.decoder.config().hidden_size as i32;
        self.weights.embedding.clone().reshape([-1, width]).select(0, ids)
    }

    fn logits_of_last(&self, hidden: Tensor<2>) -> Vec<f32> {
        let last = hidden.dims()[0] - 1;
        let head = head(self.weights);
        let normed =
            rms_norm(hidden.narrow(0, last, 1), head.norm, self.decoder.config().norm_epsilon);
        let logits = linear(normed, head.projection).into_data().convert::<f32>();
        logits.try_into_vec().expect("logits were converted to fp32")
    }
}

/// The attention half of a block over the past and the new tokens.
fn attend(
    config: &ModelConfig,
    weights: &AttentionParameters<Tensor<1>>,
    angles: &Angles,
    past: &mut Past,
    input: Tensor<2>,
) -> Tensor<2> {
    let rows = input.dims()[0];
    let normed = rms_norm(input.clone(), &weights.norm, config.norm_epsilon);
    let heads = |weight: &Tensor<1>, heads: usize| {
        linear(normed.clone(), weight).reshape([1, rows, heads, config.head_dim])
    };
    let query = angles.rotate(heads(&weights.query, config.num_heads)).swap_dims(1, 2);
    let key = angles.rotate(heads(&weights.key, config.num_kv_heads)).swap_dims(1, 2);
    let value = heads(&weights.value, config.num_kv_heads).swap_dims(1, 2);
    let key = remember(&mut past.key, key);
    let value = remember(&mut past.value, value);

    let group = config.num_heads / config.num_kv_heads;
    let probabilities = probabilities(query, repeat_heads(key, group), config.head_dim);
    let mixed = probabilities.matmul(repeat_heads(value, group));
    let mixed = mixed.swap_dims(1, 2).reshape([rows, config.query_width()]);
    input + linear(mixed, &weights.output)
}

/// Appends `new` to what is remembered and returns all of it.
fn remember(past: &mut Option<Tensor<4>>, new: Tensor<4>) -> Tensor<4> {
    let all = match past.take() {
        Some(old) => Tensor::cat(vec![old, new], 2),
        None => new,
    };
    *past = Some(all.clone());
    all
}

/// Softmax over the keys that each of the newest queries may see.
fn probabilities(query: Tensor<4>, key: Tensor<4>, head_dim: usize) -> Tensor<4> {
    let (queries, keys) = (query.dims()[2], key.dims()[2]);
    let dtype = query.dtype();
    let scores = fp32(query.matmul(key.swap_dims(2, 3))) * (head_dim as f64).powf(-0.5);
    let offset = (keys - queries) as i64;
    let future =
        Tensor::<2, burn::tensor::Bool>::tril_mask([queries, keys], offset, &scores.device());
    burn::tensor::activation::softmax(scores.mask_fill(future.unsqueeze(), f32::NEG_INFINITY), 3)
        .cast(dtype)
}

fn feed_forward(
    config: &ModelConfig,
    weights: &MlpParameters<Tensor<1>>,
    input: Tensor<2>,
) -> Tensor<2> {
    let normed = rms_norm(input.clone(), &weights.norm, config.norm_epsilon);
    let gate = burn::tensor::activation::silu(linear(normed.clone(), &weights.gate));
    input + linear(gate * linear(normed, &weights.up), &weights.down)
}
