//! Optimizers of Covey.
//!
//! The inner optimizer turns the gradients of one machine into new weights. SparseLoCo combines the
//! pseudo-gradients of many peers into one outer step.
//!
//! | floor | rooms | what they hold | |
//! |---|---|---|---|
//! | 1 | [`inner`] | AdamW, gradient clipping, learning-rate schedules | pure |
//! | 1 | [`sparseloco`] | top-k, 2-bit quantizers, error feedback, aggregation, outer step | pure |
//! | 2 | [`fsdp`] | a model that is sharded over the devices of one machine | pure |
//! | 2 | [`codec`] | the bytes of a delta | pure |
//! | 3 | [`baselines`] | DiLoCo, DeMo and SparseLoCo behind one trait, for comparisons | pure |
//!
//! A room imports only rooms of lower floors; each may use [`error`].
//!
//! AdamW, clipping and sharded weights work on tensors and need the default feature `burn`. All
//! other code is arithmetic on slices and builds without Burn, so validators and tools need no
//! tensor library. The features `cuda` and `wgpu` add two GPU kernels, one for AdamW and one for
//! top-k.
//!
//! No function reads a clock or draws a random number. On the CPU no result depends on the number
//! of threads: the same inputs give the same bits.

pub mod baselines;
pub mod codec;
pub mod error;
pub mod fsdp;
pub mod inner;
pub mod sparseloco;
