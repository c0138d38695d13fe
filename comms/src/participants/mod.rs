//! The drivers of a round: the objects that a peer publishes, and the validator that closes rounds.
//!
//! They poll, wait and write. The rules are in [`crate::gauntlet`] and [`crate::agreement`], which
//! have neither clock nor store. Start at [`PeerClient`] and [`validator::Validator`].

mod peer;
pub mod validator;

pub use self::peer::{PeerClient, Published};
