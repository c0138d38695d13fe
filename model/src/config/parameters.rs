//! A structure with one value per parameter of the network.
//!
//! The same structure holds weights (`Parameters<Tensor<1>>`), gradients, names and shapes
//! (`Parameters<ParameterSpec>`), and any other value that exists once per parameter. Code
//! therefore accesses parameters by field, and a misspelt name is an error of the compiler.

use super::model_config::ModelConfig;

/// Name and shape of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Name in the Hub's layout, for example `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Row-major shape: `[out, in]` for matrices, `[width]` for norms.
    pub shape: Vec<usize>,
    /// Function in the network, from which the initial distribution follows.
    pub role: Role,
}

impl ParameterSpec {
    /// Number of scalars.
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Function of a parameter in the network; determines its initial distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Table with one row per token id.
    Embedding,
    /// Scale of an RMSNorm.
    Norm,
    /// Projection from the residual stream: queries, keys, values, gate.
    Input,
    /// Projection towards the residual stream in block `layer`: attention output, up and down.
    ///
    /// torchtitan puts the up projection into this group, not into that of the gate.
    Output {
        /// Index of the block, from 0.
        layer: usize,
    },
    /// Projection from the last hidden state to logits.
    Head,
}

/// One value per parameter of a network. Tensors are flat, with elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<T> {
    /// `model.embed_tokens.weight`, `[vocab, hidden]`.
    pub embedding: T,
    /// `model.layers.N.*`.
    pub blocks: Vec<BlockParameters<T>>,
    /// `model.norm.weight`, `[hidden]`.
    pub norm: T,
    /// `lm_head.weight`, `[vocab, hidden]`; `None` if the head is tied to the embedding.
    pub head: Option<T>,
}

/// One value per parameter of one decoder block.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockParameters<T> {
    /// Attention half.
    pub attention: AttentionParameters<T>,
    /// Feed-forward half.
    pub mlp: MlpParameters<T>,
}

/// One value per parameter of the attention half of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionParameters<T> {
    /// `input_layernorm.weight`, `[hidden]`.
    pub norm: T,
    /// `self_attn.q_proj.weight`, `[heads * head_dim, hidden]`.
    pub query: T,
    /// `self_attn.k_proj.weight`, `[kv_heads * head_dim, hidden]`.
    pub key: T,
    /// `self_attn.v_proj.weight`, `[kv_heads * head_dim, hidden]`.
    pub value: T,
    /// `self_attn.o_proj.weight`, `[hidden, heads * head_dim]`.
    pub output: T,
}

/// One value per parameter of the feed-forward half of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct MlpParameters<T> {
    /// `post_attention_layernorm.weight`, `[hidden]`.
    pub norm: T,
    /// `mlp.gate_proj.weight`, `[intermediate, hidden]`.
    pub gate: T,
    /// `mlp.up_proj.weight`, `[intermediate, hidden]`.
    pub up: T,
    /// `mlp.down_proj.weight`, `[hidden, intermediate]`.
    pub down: T,
}

impl ModelConfig {
    /// Names and shapes of all parameters.
    pub fn parameters(&self) -> Parameters<ParameterSpec> {
        let table = vec![self.vocab_size, self.hidden_size];
        Parameters {
            embedding: spec("model.embed_tokens.weight", table.clone(), Role::Embedding),
            blocks: (0..self.num_layers).map(|layer| self.block_parameters(layer)).collect(),
            norm: spec("model.norm.weight", vec![self.hidden_size], Role::Norm),
            head: (!self.tied).then(|| spec("lm_head.weight", table, Role::Head)),
        }
    }

    fn block_parameters(&self, layer: usize) -> BlockParameters<ParameterSpec> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let (query, kv) = (self.query_width(), self.kv_width());
        let output = Role::Output { layer };
        BlockParameters {
            attention: AttentionParameters {
                norm: norm_spec(layer, "input_layernorm", hidden),
                query: block_spec(layer, "self_attn.q_proj", [query, hidden], Role::Input),
                key: block_spec(layer, "self_attn.k_proj", [kv, hidden], Role::Input),
                value: block_spec(layer, "self_attn.v_proj", [kv, hidden], Role::Input),
                output: block_spec(layer, "self_attn.o_proj", [hidden, query], output),
            },
            mlp: MlpParameters {
                norm: norm_spec(layer, "post_attention_layernorm", hidden),
                gate: block_spec(layer, "mlp.gate_proj", [inner, hidden], Role::Input),
                up: block_spec(layer, "mlp.up_proj", [inner, hidden], output),
                down: block_spec(layer, "mlp.down_proj", [hidden, inner], output),
            },
        }
    }

    /// Number of scalars in all parameters together.
    pub fn num_parameters(&self) -> u64 {
        // All blocks are alike, so one is counted. A listing of 80 blocks would allocate 720 names.
        let block: usize = self.block_parameters(0).iter().map(ParameterSpec::num_elements).sum();
        let tables =
            if self.tied { 1 } else { 2 } * self.vocab_size as u64 * self.hidden_size as u64;
        tables + block as u64 * self.num_layers as u64 + self.hidden_size as u64
    }
}

fn block_spec(layer: usize, name: &str, shape: [usize; 2], role: Role) -> ParameterSpec {
    spec(&format!("model.layers.{layer}.{name}.weight"), shape.to_vec(), role)
}

fn norm_spec(layer: usize, name: &str, width: usize) -> ParameterSpec {
    spec(&format!("model.layers.{layer}.{name}.weight"), vec![width], Role::Norm)
}

fn spec(name: &str, shape: Vec<usize>, role: Role) -> ParameterSpec {
    ParameterSpec { name: name.to_owned(), shape, role }
}

// The canonical order of all methods: embedding, blocks from first to last, final norm, head. Model
// files, checkpoints, and deltas depend on it, so it must never change.
impl<T> Parameters<T> {
    /// All values in canonical order: embedding, blocks from first to last, final norm, head.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let blocks = self.blocks.iter().flat_map(BlockParameters::iter);
        std::iter::once(&self.embedding).chain(blocks).chain([&self.norm]).chain(&self.head)
    }

    /// All values, mutable, in canonical order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let blocks = self.blocks.iter_mut().flat_map(BlockParameters::iter_mut);
        std::iter::once(&mut self.embedding)
            .chain(blocks)
            .chain([&mut self.norm])
            .chain(&mut self.head)
    }

    /// The same structure with `convert` applied to each value, in canonical order.
    pub fn map<U>(&self, mut convert: impl FnMut(&T) -> U) -> Parameters<U> {
        Parameters {
            embedding: convert(&self.embedding),
            blocks: self.blocks.iter().map(|block| block.map(&mut convert)).collect(),
            norm: convert(&self.norm),
            head: self.head.as_ref().map(convert),
        }
    }

    /// Like [`Parameters::map`], with a function that can fail. Stops at the first error.
    ///
    /// # Errors
    /// The first error of `convert`.
    pub fn try_map<U, E>(
        &self,
        mut convert: impl FnMut(&T) -> Result<U, E>,
    ) -> Result<Parameters<U>, E> {
        // `map` cannot stop early, so the values after an error become `None` without a call.
        let mut failure = None;
        let converted = self.map(|value| {
            if failure.is_some() {
                return None;
            }
            convert(value).map_err(|error| failure = Some(error)).ok()
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(converted.map_owned(|value| value.expect("no conversion failed"))),
        }
    }

    /// Like [`Parameters::map`], but consumes the values.
    pub fn map_owned<U>(self, mut convert: impl FnMut(T) -> U) -> Parameters<U> {
        Parameters {
            embedding: convert(self.embedding),
            blocks: self.blocks.into_iter().map(|block| block.map_owned(&mut convert)).collect(),
            norm: convert(self.norm),
            head: self.head.map(convert),
        }
    }
}

impl<T> BlockParameters<T> {
    /// All nine values, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.attention.iter().chain(self.mlp.iter())
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.attention.iter_mut().chain(self.mlp.iter_mut())
    }

    fn map<U>(&self, convert: &mut impl FnMut(&T) -> U) -> BlockParameters<U> {
        BlockParameters { attention: self.attention.map(&mut *convert), mlp: self.mlp.map(convert) }
    }

    fn map_owned<U>(self, convert: &mut impl FnMut(T) -> U) -> BlockParameters<U> {
        BlockParameters {
            attention: self.attention.map_owned(convert),
            mlp: self.mlp.map_owned(convert),
        }
    }
}

/// Takes the values in canonical order.
impl<T> From<[T; 9]> for BlockParameters<T> {
    fn from(values: [T; 9]) -> Self {
        let [attention_norm, query, key, value, output, mlp_norm, gate, up, down] = values;
        Self {
            attention: AttentionParameters { norm: attention_norm, query, key, value, output },
            mlp: MlpParameters { norm: mlp_norm, gate, up, down },
        }
    }
}

/// Returns the values in canonical order.
impl<T> From<BlockParameters<T>> for [T; 9] {
    fn from(block: BlockParameters<T>) -> Self {
        let AttentionParameters { norm: attention_norm, query, key, value, output } =
            block.attention;
        let MlpParameters { norm: mlp_norm, gate, up, down } = block.mlp;
        [attention_norm, query, key, value, output, mlp_norm, gate, up, down]
    }
}

impl<T> AttentionParameters<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        let Self { norm, query, key, value, output } = self;
        [norm, query, key, value, output].into_iter()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let Self { norm, query, key, value, output } = self;
        [norm, query, key, value, output].into_iter()
    }

    fn map_owned<U>(self, convert: &mut impl FnMut(T) -> U) -> AttentionParameters<U> {
        AttentionParameters {
            norm: convert(self.norm),
            query: convert(self.query),
            key: convert(self.key),
            value: convert(self.value),
            output: convert(self.output),
        }
    }

    /// The same structure with `convert` applied to each value, in canonical order.
    pub(crate) fn map<U>(&self, mut convert: impl FnMut(&T) -> U) -> AttentionParameters<U> {
        let Self { norm, query, key, value, output } = self;
        AttentionParameters { norm, query, key, value, output }
            .map_owned(&mut |value| convert(value))
    }
}

impl<T> MlpParameters<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        let Self { norm, gate, up, down } = self;
        [norm, gate, up, down].into_iter()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let Self { norm, gate, up, down } = self;
        [norm, gate, up, down].into_iter()
    }

    fn map_owned<U>(self, convert: &mut impl FnMut(T) -> U) -> MlpParameters<U> {
        MlpParameters {
            norm: convert(self.norm),
            gate: convert(self.gate),
            up: convert(self.up),
            down: convert(self.down),
        }
    }

    /// The same structure with `convert` applied to each value, in canonical order.
    pub(crate) fn map<U>(&self, mut convert: impl FnMut(&T) -> U) -> MlpParameters<U> {
        let Self { norm, gate, up, down } = self;
        MlpParameters { norm, gate, up, down }.map_owned(&mut |value| convert(value))
    }
}
