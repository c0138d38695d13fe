//! Text generation with a trained model.
//!
//! This folder connects the generator of the model crate with a tokenizer. It loads no files and
//! prints nothing: the caller supplies the model and receives the text. Start with [`TextStream`].
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use burn::tensor::{Device, Tensor};
//! use covey::generate::{StopReason, TextStream};
//! use covey_data::tokenizer::Tokenizer;
//! use covey_model::config::{ModelConfig, preset};
//! use covey_model::generation::{Sampling, TokenSampler};
//! use covey_model::init::Initializer;
//! use covey_model::network::Decoder;
//!
//! // An untrained model. Its vocabulary is the 256 bytes and an end-of-text token.
//! let tokenizer = &Tokenizer::train([Ok("one document".to_owned())], 257)?;
//! let tiny = preset("tiny").expect("a built-in preset");
//! let model = ModelConfig { vocab_size: 257, num_layers: 1, ..tiny };
//! let (initializer, device) = (Initializer::new(1, &model), Device::flex());
//! let tensor = |values: Vec<f32>| Tensor::<1>::from_floats(values.as_slice(), &device);
//! let weights = &model.parameters().map(|spec| tensor(initializer.tensor(spec)));
//! let decoder = &Decoder::new(model, &device);
//! let sampler = TokenSampler::new(Sampling::GREEDY, 0)?;
//!
//! let stream = TextStream { decoder, weights, tokenizer, sampler, ends: &[] };
//! let mut text = String::new();
//! let reason = stream.write("Hello", 4, &AtomicBool::new(false), |piece| {
//!     text.push_str(piece);
//!     Ok(())
//! })?;
//! assert!(matches!(reason, StopReason::Length | StopReason::EndOfText));
//! # Ok::<(), covey::system::error::Failure>(())
//! ```

mod text_stream;

pub use self::text_stream::{StopReason, TextStream};
