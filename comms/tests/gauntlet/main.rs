//! Laws of the Gauntlet: what follows from what was observed, and the document that says so.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod conduct;
mod documents;
mod honesty;
mod world;
