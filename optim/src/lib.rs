//! The optimizers of Covey: what turns gradients into new weights on one machine, and the steps of many machines into
//! one.
//!
//! | question | file |
//! |---|---|
//! | Which learning rate at which step? | [`schedule`] |
//! | How far and where does a weight move? | [`adamw`] |
//! | Is this gradient sane, and how much of it counts? | [`gradient`] |
//! | How do several devices of one machine share a model? | [`fsdp`] |
//! | What do peers tell each other once a round, and what comes of it? | [`sparseloco`] |
//! | What else could peers tell each other? | [`outer`] |
//! | Which bytes carry it? | [`codec`] |
//! | What of it runs on a GPU, in kernels of our own? | `cube` (features `cuda` and `wgpu`) |
//! | What can go wrong? | [`error`] |
//!
//! AdamW and clipping work on tensors and need the default feature `burn`. Everything else is plain arithmetic on slices
//! and builds without Burn, so that validators and tools can have it where there is no tensor library.
//!
//! Nothing here reads a clock, draws a random number or depends on the number of threads: the same inputs give the
//! same bits on one CPU core and on many.

pub mod baselines;
pub mod codec;
pub mod error;
pub mod fsdp;
pub mod inner;
pub mod sparseloco;
