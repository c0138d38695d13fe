//! The drivers of a round: what a peer publishes, and how a validator closes a round.

mod peer;
pub mod validator;

pub use self::peer::{PeerClient, Published};
