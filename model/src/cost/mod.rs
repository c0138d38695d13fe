//! Cost of a training step: FLOPs per token, and bytes of activations.
//!
//! These are formulas and a simulation of buffers. Nothing is run and nothing is allocated on a
//! device, so a plan for 72 billion parameters takes a moment on a laptop. Start reading at
//! [`FlopsPerToken`] and [`ActivationMemory`].
//!
//! ```rust
//! use covey_model::config::{ActivationCheckpointing, preset};
//! use covey_model::cost::{ActivationMemory, FlopsPerToken, StepShape};
//!
//! let config = preset("tiny").expect("`tiny` is a preset");
//! let flops = FlopsPerToken::new(&config, 256);
//! assert_eq!(flops.backward, 2.0 * flops.forward);
//!
//! let shape = StepShape {
//!     sequences: 8,
//!     length: 256,
//!     micro_batches_per_gather: 1,
//!     activation_checkpointing: ActivationCheckpointing::None,
//! };
//! let memory = ActivationMemory::fast(&config, &shape, 4);
//! assert!(memory.total() < 200 << 20);
//! ```

mod activation_memory;
mod flops;

pub use self::activation_memory::{ActivationMemory, StepShape};
pub use self::flops::FlopsPerToken;
