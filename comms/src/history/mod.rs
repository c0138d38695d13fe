//! The verified history of a run: following it, and removing what is no longer needed.

mod light_client;
mod retention;

pub use self::light_client::{LightClient, LightClientState};
