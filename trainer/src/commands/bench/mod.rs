//! Benchmarks that the `just bench-*` recipes call.

pub(crate) mod bench;
mod outer;
mod training;
mod validation;
