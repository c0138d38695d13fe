//! The demo: a small model, alone or with two peers and a validator.

pub(crate) mod demo;
mod together;
