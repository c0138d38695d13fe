//! Text from logits: sampling, and a generator with a key-value cache.

mod generator;
mod token_sampler;

pub use self::generator::Generator;
pub use self::token_sampler::{Sampling, SamplingError, TokenSampler};
