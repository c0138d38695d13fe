//! Training on several devices: same losses, gradients and deltas as on one device.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod deltas;
mod fixtures;
mod gradients;
mod losses;
mod rejections;
