//! The decoder: blocks, loss and gradients, on one device or on weights that are sharded over
//! several.
//!
//! This folder decides the order of calls; [`crate::kernels`] does the arithmetic. It never owns
//! weights: they are arguments, or come from a [`WeightSource`]. Start reading at [`Decoder`], then
//! at [`ForwardBackward`].
//!
//! ```rust
//! use burn::tensor::{Device, Tensor};
//! use covey_model::config::preset;
//! use covey_model::init::Initializer;
//! use covey_model::network::{Decoder, TokenBatch, Weights};
//!
//! let (config, device) = (preset("tiny").expect("`tiny` is a preset"), Device::flex());
//! let init = Initializer::new(42, &config);
//! let parameters = config.parameters();
//! let weights: Weights =
//!     parameters.map(|spec| Tensor::from_floats(init.tensor(spec).as_slice(), &device));
//!
//! let batch = TokenBatch::new(&[5, 6, 7, 8, 9, 10], 2, &config)?;
//! let decoder = Decoder::new(config, &device);
//! let mut gradients = decoder.zeros();
//! let loss = decoder.loss_backward(&weights, &batch, 1.0, &mut gradients);
//! // Untrained, the loss is close to that of a uniform guess: ln 4096 for each of 4 targets.
//! assert!((loss / 4.0 - 4096_f64.ln()).abs() < 2.0);
//! # Ok::<(), covey_model::error::BatchError>(())
//! ```

mod block;
pub(crate) mod decoder;
mod forward_backward;
mod weight_source;

pub use self::decoder::{Decoder, TokenBatch, Weights};
pub use self::forward_backward::ForwardBackward;
pub use self::weight_source::{Unit, WeightSource};
