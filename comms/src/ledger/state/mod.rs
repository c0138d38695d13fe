//! The state that follows from a ledger's entries.

mod state;
mod tally;
mod validator_set_change;

pub use self::state::{KeyRecord, LedgerState, Membership};
pub use self::tally::Tally;
pub use self::validator_set_change::{Genesis, MAX_VALIDATORS, ValidatorSetChange};
