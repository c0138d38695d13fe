//! Names of the files in a model folder, as `transformers` writes them.

pub(super) const CONFIG: &str = "config.json";
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";
/// All weights, if they are not sharded.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// The shard of each tensor, if the weights are sharded.
pub(super) const INDEX: &str = "model.safetensors.index.json";
