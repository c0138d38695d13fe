//! Llama-family network of Covey: configuration, kernels, forward and backward pass, model files,
//! text generation.
//!
//! Everything here is a function of its arguments and of the files it is given. The crate does not
//! choose data, step an optimizer, or talk to other machines: `trainer` does that with the
//! gradients and weights that it gets from here. Start reading at [`config::ModelConfig`], then
//! [`network::Decoder`].
//!
//! Rooms from the bottom up. A room imports only from rooms of lower floors; [`error`] is below all
//! of them.
//!
//! | floor | rooms | what they hold | |
//! |---|---|---|---|
//! | 1 | [`config`] | shape of a network: sizes, presets, parameters, rotary table | pure |
//! | 2 | [`init`], [`kernels`], [`hub`] | initial weights; half-blocks; model folders | pure |
//! | 3 | [`network`], [`cost`] | loss, gradients and logits; FLOPs and memory of a step | pure |
//! | 4 | [`generation`] | text, token by token | pure |

pub mod config;
pub mod cost;
pub mod error;
pub mod generation;
pub mod hub;
pub mod init;
pub mod kernels;
pub mod network;
