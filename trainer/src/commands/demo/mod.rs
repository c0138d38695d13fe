//! The demo: trains a small model, in one process or as a distributed run on one machine.

pub(crate) mod demo;
mod together;
