//! The verified history of a run: the light client that follows manifests, checkpoints in the
//! bucket, and the removal of obsolete objects.
//!
//! Nothing here applies a delta: weights belong to the caller. Start at [`LightClient`].

mod checkpoints;
mod light_client;
mod retention;

pub use self::light_client::{LightClient, LightClientState};
pub(crate) use self::retention::remove_obsolete;
