//! The state that follows from the entries of a ledger.
//!
//! A pure fold: equal entries lead to equal states on every machine. This code never reads a
//! backend, never looks at a clock, and never trusts an entry that was not verified. Start with
//! [`LedgerState::apply`].
//!
//! ```rust
//! use covey_comms::ledger::state::{Genesis, LedgerState};
//! use covey_comms::ledger::{Entry, EntryPosition, NumberedEntry, Operation};
//! use covey_comms::primitives::{Keypair, RunId};
//!
//! let [validator, peer] = [1, 2].map(|secret| Keypair::from_secret(&[secret; 32]));
//! let run = RunId::of(b"my run");
//! let mut state = LedgerState::genesis(&Genesis::new(run, [validator.peer()].into(), 1)?);
//! let operation = Operation::Register { bucket: None };
//! let entry = Entry::seal(&peer, EntryPosition::genesis(run), operation, None);
//! state.apply(&NumberedEntry { number: 0, entry })?;
//! assert!(state.is_registered(peer.peer()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod state;
mod tally;
mod validator_set_change;

pub use self::state::{KeyRecord, LedgerState, Membership};
pub use self::tally::Tally;
pub use self::validator_set_change::{Genesis, ValidatorSetChange};
