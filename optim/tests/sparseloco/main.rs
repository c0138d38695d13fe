//! Laws of compression, aggregation and the outer step, with and without the DCT.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod frequencies;
mod laws;
#[path = "../synthetic/mod.rs"]
mod synthetic;
