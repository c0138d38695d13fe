//! Laws of the objects that lie in the bucket, and of the keys that sign them.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod envelope;
mod identity;
mod manifest;
