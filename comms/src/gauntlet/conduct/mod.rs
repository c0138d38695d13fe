//! The record of each peer over rounds, and the penalties for what it did.

mod outcome_window;
mod peer_record;
mod penalties;

pub use self::outcome_window::{NotOutcomes, OutcomeWindow};
pub use self::peer_record::{PeerRecord, PeerTable};
pub(crate) use self::penalties::Conduct;
pub use self::penalties::{Effect, Offence, Penalty, PenaltyConfig};
