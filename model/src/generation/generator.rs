//! Autoregressive decoding with a key-value cache.

use burn::tensor::{Int, Tensor, TensorData};

use crate::config::{AttentionParameters, BlockParameters, MlpParameters, ModelConfig};
use crate::error::BatchError;
use crate::kernels::{Angles, fp32, linear, repeat_heads, rms_norm};
use crate::network::decoder::{check_tokens, head};
use crate::network::{Decoder, Weights};

/// State of one generated text: network, weights, and the key-value cache of its tokens.
///
/// Uses plain tensor operations on all devices. With one token per call, matrix-vector products
/// dominate, and fused kernels would gain little.
///
/// The cache takes `2 * layers * kv_width` numbers per token.
#[derive(Debug)]
pub struct Generator<'a> {
    decoder: &'a Decoder,
    weights: &'a Weights,
    caches: Vec<KvCache>,
    position: usize,
}

/// Rotated keys, and values, of one block: `[1, kv_heads, tokens, head_dim]` each.
#[derive(Clone, Debug, Default)]
struct KvCache {
    key: Option<Tensor<4>>,
    value: Option<Tensor<4>>,
}

impl<'a> Generator<'a> {
    /// An empty text.
    pub fn new(decoder: &'a Decoder, weights: &'a Weights) -> Self {
        Self {
            decoder,
            weights,
            caches: vec![KvCache::default(); weights.blocks.len()],
            position: 0,
        }
    }

    /// Number of tokens read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Appends `tokens` and returns the logits of the next token, one per id of the vocabulary.
    ///
    /// A prompt can be passed in one call or in several; the logits are the same up to rounding.
    ///
    /// # Errors
    /// [`BatchError`] if `tokens` is empty, exceeds the positions of the network, or contains an id
    /// outside its vocabulary.
    pub fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, BatchError> {
        let config = self.decoder.config();
        if tokens.is_empty() {
            return Err(BatchError::Ragged { tokens: 0, sequences: 1 });
        }
        // Checked before the caches change: a caller may report the error and continue the text.
        check_tokens(tokens, self.position + tokens.len(), config)?;
        let mut hidden = self.embed(tokens);
        let half = config.head_dim / 2;
        let angles = Angles::new(
            self.decoder.rope(),
            half,
            self.position,
            tokens.len(),
            self.decoder.device(),
        );
        for (block, cache) in self.weights.blocks.iter().zip(&mut self.caches) {
            let BlockParameters { attention, mlp } = block;
            hidden = attend(config, attention, &angles, cache, hidden);
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
        // Only the last row: for a prompt of 1000 tokens, the other logits would take 500 MB at a
        // vocabulary of 128,000.
        let last = hidden.dims()[0] - 1;
        let head = head(self.weights);
        let normed =
            rms_norm(hidden.narrow(0, last, 1), head.norm, self.decoder.config().norm_epsilon);
        let logits = linear(normed, head.projection).into_data().convert::<f32>();
        logits.try_into_vec().expect("logits were converted to fp32")
    }
}

/// Attention half of a block: the new tokens attend to all cached tokens and to each other.
fn attend(
    config: &ModelConfig,
    weights: &AttentionParameters<Tensor<1>>,
    angles: &Angles,
    cache: &mut KvCache,
    input: Tensor<2>,
) -> Tensor<2> {
    let rows = input.dims()[0];
    let normed = rms_norm(input.clone(), &weights.norm, config.norm_epsilon);
    let query = project_to_heads(&normed, &weights.query, config);
    let key = project_to_heads(&normed, &weights.key, config);
    let value = project_to_heads(&normed, &weights.value, config);
    let query = angles.rotate(query).swap_dims(1, 2);
    // Keys are cached after rotation: their angles depend on their own position only.
    let key = append(&mut cache.key, angles.rotate(key).swap_dims(1, 2));
    let value = append(&mut cache.value, value.swap_dims(1, 2));

    let group = config.num_heads / config.num_kv_heads;
    let probabilities = probabilities(query, repeat_heads(key, group), config.head_dim);
    let mixed = probabilities.matmul(repeat_heads(value, group));
    let mixed = mixed.swap_dims(1, 2).reshape([rows, config.query_width()]);
    input + linear(mixed, &weights.output)
}

/// Projection split into heads: `[1, rows, heads, head_dim]`.
fn project_to_heads(input: &Tensor<2>, weight: &Tensor<1>, config: &ModelConfig) -> Tensor<4> {
    let [rows, inputs] = input.dims();
    let heads = weight.dims()[0] / inputs / config.head_dim;
    linear(input.clone(), weight).reshape([1, rows, heads, config.head_dim])
}

/// Appends `new` to a cache along the tokens, and returns all of its content.
fn append(cache: &mut Option<Tensor<4>>, new: Tensor<4>) -> Tensor<4> {
    // `take` leaves the only handle here, so the old tensor is freed as soon as it is copied.
    let all = match cache.take() {
        Some(old) => Tensor::cat(vec![old, new], 2),
        None => new,
    };
    *cache = Some(all.clone());
    all
}

/// Softmax of the scores, causal: query `i` of the new tokens sees the cached keys and those up to
/// its own.
fn probabilities(query: Tensor<4>, key: Tensor<4>, head_dim: usize) -> Tensor<4> {
    let (queries, keys) = (query.dims()[2], key.dims()[2]);
    let dtype = query.dtype();
    let scores = fp32(query.matmul(key.swap_dims(2, 3))) * (head_dim as f64).powf(-0.5);
    // Shifts the diagonal of the mask by the number of cached tokens.
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
