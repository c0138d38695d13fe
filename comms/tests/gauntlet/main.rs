//! Tests of the Gauntlet: outcomes that follow from observations, and the verdict as a document.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod conduct;
mod documents;
mod honesty;
mod world;
