//! Text generation: a decoder with a key-value cache, and sampling from its logits.
//!
//! This folder works on token ids. Text, chat templates and stop words are in `trainer`. Start
//! reading at [`Generator`].
//!
//! ```rust
//! use burn::tensor::{Device, Tensor};
//! use covey_model::config::preset;
//! use covey_model::generation::{Generator, Sampling, TokenSampler};
//! use covey_model::init::Initializer;
//! use covey_model::network::{Decoder, Weights};
//!
//! let (config, device) = (preset("tiny").expect("`tiny` is a preset"), Device::flex());
//! let init = Initializer::new(42, &config);
//! let parameters = config.parameters();
//! let weights: Weights =
//!     parameters.map(|spec| Tensor::from_floats(init.tensor(spec).as_slice(), &device));
//! let decoder = Decoder::new(config, &device);
//!
//! let mut generator = Generator::new(&decoder, &weights);
//! let logits = generator.read(&[17, 4, 99])?;
//! let next = TokenSampler::new(Sampling::GREEDY, 0)?.choose(&logits, 3)?;
//! assert!(next < 4096);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod generator;
mod token_sampler;

pub use self::generator::Generator;
pub use self::token_sampler::{Sampling, SamplingError, TokenSampler};
