//! The verified history of a run: following it, and removing what is no longer needed.

mod checkpoints;
mod light_client;
mod retention;

pub use self::light_client::{LightClient, LightClientState};
pub(crate) use self::retention::remove_obsolete;
