//! One value per parameter of the network, in the network's own shape.
//!
//! The same structure holds weights (`Parameters<Tensor<1>>`), gradients,
//! names and shapes (`Parameters<ParameterSpec>`), or whatever else there is
//! one of per parameter, so that nothing ever has to be looked up by string.

use super::model_config::ModelConfig;

/// Name and shape of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// The Hub's name, `model.layers.0.self_attn.q_proj.weight` and the like.
    pub name: String,
    /// Row-major shape: `[out, in]` for matrices, `[width]` for norms.
    pub shape: Vec<usize>,
    /// What the parameter does, for its initialisation.
    pub role: Role,
}

impl ParameterSpec {
    /// Number of scalars.
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What a parameter does; decides how it is initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Rows looked up by token id.
    Embedding,
    /// Scale of an RMSNorm.
    Norm,
    /// Reads the residual stream: queries, keys, values, gate.
    Input,
    /// Writes towards the residual stream in block `layer`: attention output, up and down projections.
    Output {
        /// Index of the block, from 0.
        layer: usize,
    },
    /// Maps the last hidden state to logits.
    Head,
}

/// One value per parameter of a whole network, flat tensors in row-major order when they hold numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters<T> {
    /// `model.embed_tokens.weight`, `[vocab, hidden]`.
    pub embedding: T,
    /// `model.layers.N.*`.
    pub blocks: Vec<BlockParameters<T>>,
    /// `model.norm.weight`, `[hidden]`.
    pub norm: T,
    /// `lm_head.weight`, `[vocab, hidden]`; absent when tied to the embedding.
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
    /// Names and shapes of every parameter.
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
        let named = |name: &str, shape: &[usize], role| {
            spec(&format!("model.layers.{layer}.{name}.weight"), shape.to_vec(), role)
        };
        let output = Role::Output { layer };
        BlockParameters {
            attention: AttentionParameters {
                norm: named("input_layernorm", &[hidden], Role::Norm),
                query: named("self_attn.q_proj", &[query, hidden], Role::Input),
                key: named("self_attn.k_proj", &[kv, hidden], Role::Input),
                value: named("self_attn.v_proj", &[kv, hidden], Role::Input),
                output: named("self_attn.o_proj", &[hidden, query], output),
            },
            mlp: MlpParameters {
                norm: named("post_attention_layernorm", &[hidden], Role::Norm),
                gate: named("mlp.gate_proj", &[inner, hidden], Role::Input),
                up: named("mlp.up_proj", &[inner, hidden], output),
                down: named("mlp.down_proj", &[hidden, inner], output),
            },
        }
    }

    /// Number of scalars in all parameters together.
    pub fn num_parameters(&self) -> u64 {
        let block: usize = self.block_parameters(0).iter().map(ParameterSpec::num_elements).sum();
        let tables =
            if self.tied { 1 } else { 2 } * self.vocab_size as u64 * self.hidden_size as u64;
        tables + block as u64 * self.num_layers as u64 + self.hidden_size as u64
    }
}

fn spec(name: &str, shape: Vec<usize>, role: Role) -> ParameterSpec {
    ParameterSpec { name: name.to_owned(), shape, role }
}

/// Canonical order everywhere: embedding, blocks from first to last, final norm, head.
impl<T> Parameters<T> {
    /// Every value, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let blocks = self.blocks.iter().flat_map(BlockParameters::iter);
        std::iter::once(&self.embedding).chain(blocks).chain([&self.norm]).chain(&self.head)
    }

    /// Every value for change, in canonical order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let blocks = self.blocks.iter_mut().flat_map(BlockParameters::iter_mut);
        std::iter::once(&mut self.embedding)
            .chain(blocks)
            .chain([&mut self.norm])
            .chain(&mut self.head)
    }

    /// The same structure with `convert` applied to every value, in canonical order.
    pub fn map<U>(&self, mut convert: impl FnMut(&T) -> U) -> Parameters<U> {
        Parameters {
            embedding: convert(&self.embedding),
            blocks: self.blocks.iter().map(|block| block.map(&mut convert)).collect(),
            norm: convert(&self.norm),
            head: self.head.as_ref().map(convert),
        }
    }

    /// Like [`Parameters::map`], stopping at the first error.
    ///
    /// # Errors
    /// Whatever `convert` returns first.
    pub fn try_map<U, E>(
        &self,
        mut convert: impl FnMut(&T) -> Result<U, E>,
    ) -> Result<Parameters<U>, E> {
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

    /// The same structure with `convert` consuming every value, in canonical order.
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
    /// Every value, in canonical order.
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

/// From the values in canonical order.
impl<T> From<[T; 9]> for BlockParameters<T> {
    fn from(values: [T; 9]) -> Self {
        let [attention_norm, query, key, value, output, mlp_norm, gate, up, down] = values;
        Self {
            attention: AttentionParameters { norm: attention_norm, query, key, value, output },
            mlp: MlpParameters { norm: mlp_norm, gate, up, down },
        }
    }
}

/// The values in canonical order.
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

    /// The same structure with `convert` applied to every value, in canonical order.
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

    /// The same structure with `convert` applied to every value, in canonical order.
    pub(crate) fn map<U>(&self, mut convert: impl FnMut(&T) -> U) -> MlpParameters<U> {
        let Self { norm, gate, up, down } = self;
        MlpParameters { norm, gate, up, down }.map_owned(&mut |value| convert(value))
    }
}
