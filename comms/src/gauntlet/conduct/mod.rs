//! The record of each peer over the rounds, and the penalties for misconduct.
//!
//! The folder updates records and never decides which delta is included. Start with
//! [`PeerRecord`], then `penalties.rs`.
//!
//! ```rust
//! use covey_comms::gauntlet::GauntletConfig;
//! use covey_comms::gauntlet::conduct::PeerRecord;
//! use covey_comms::primitives::Round;
//!
//! let config = GauntletConfig::default();
//! let new = PeerRecord::joining_peer(&config, Round(7));
//! // Full trust, but no score until an evaluation shows that the peer helps.
//! assert_eq!((new.trust, new.score), (1.0, 0.0));
//! assert!(new.is_on_probation(&config) && !new.is_banned(Round(8)));
//! ```

mod outcome_window;
mod peer_record;
mod penalties;

pub use self::outcome_window::{NotOutcomes, OutcomeWindow};
pub use self::peer_record::{PeerRecord, PeerTable};
pub(crate) use self::penalties::{Conduct, apply_penalty, penalties_for};
pub use self::penalties::{Effect, Offence, Penalty};
