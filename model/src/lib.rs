//! The network: a Llama-family decoder with its kernels, files and numbers.

pub mod config;
pub mod cost;
pub mod error;
pub mod generation;
pub mod hub;
pub mod init;
pub mod kernels;
pub mod network;
