//! The server of `covey bucket serve` as its clients see it: our own client and a general S3
//! client.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod client;
mod connections;
mod hostile_store;
mod objects;
mod rights;
