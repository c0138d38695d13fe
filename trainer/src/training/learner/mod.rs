//! The training step on one or more devices.
//!
//! A [`Learner`] is a model in training with its optimizer and learning-rate schedule. Each step
//! takes one batch of tokens. The learner reads no files and draws no random numbers; it never
//! decides what to train on or when to stop. Start with [`Learner::open`] and [`Learner::step`].
//!
//! ```
//! use covey::config::layers::{Layers, Purpose};
//! use covey::training::learner::Learner;
//! use covey_model::config::{ModelConfig, preset};
//! use covey_model::init::Initializer;
//!
//! let tiny = preset("tiny").expect("a built-in preset");
//! let model = ModelConfig { num_layers: 1, vocab_size: 300, ..tiny };
//! let config = Layers::new().resolve(Purpose::Show)?.config;
//! let initializer = Initializer::new(1, &model);
//! let mut learner = Learner::open(&model, &config, |spec, range| {
//!     let mut weights = vec![0.0; range.len()];
//!     initializer.fill(spec, range.start as u64, &mut weights);
//!     Ok(weights)
//! })?;
//! let windows: Vec<u32> = (0..2 * 33).map(|index| index % 300).collect();
//! let outcome = learner.step(&windows, 32)?;
//! assert!(outcome.loss > 0.0 && learner.steps() == 1);
//! # Ok::<(), covey::system::error::Failure>(())
//! ```

mod compression;
mod error;
mod learner;
mod open;
mod sharded_weights;

pub use self::error::LearnError;
pub use self::learner::{Learner, StepOutcome};
pub(crate) use self::open::{advice, devices, memory_limit, room};
pub use self::sharded_weights::ShardedWeights;
