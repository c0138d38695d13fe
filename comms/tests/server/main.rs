//! `covey bucket serve`, seen from its clients: our own, and any that speaks S3.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod client;
mod connections;
mod objects;
mod rights;
