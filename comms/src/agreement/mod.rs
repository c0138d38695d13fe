//! The values on which validators agree, and how a reader verifies them.
//!
//! A [`ValidatorSet`] names the validators of a run. Each round ends with a [`Certificate`]: a
//! manifest with enough of their signatures. A [`Chain`] verifies one certificate after another.
//! The folder verifies bytes that it is given, and never fetches an object. Start with
//! [`Certificate::open`].
//!
//! ```rust
//! use covey_comms::agreement::ValidatorSet;
//! use covey_comms::primitives::{PeerId, Round};
//!
//! let validators = [1, 2, 3].map(|number| PeerId::from_bytes([number; 32]));
//! let set = ValidatorSet::new(validators.into(), 2).unwrap();
//! // One of the three may be silent or dishonest.
//! assert_eq!(set.spare(), 1);
//! // The turn to propose moves by one with each round.
//! assert_eq!(set.turns(Round(4)).next(), Some(validators[1]));
//! // Half of the validators are not enough: the other half could decide otherwise.
//! assert_eq!(ValidatorSet::new(validators[..2].iter().copied().collect(), 1), None);
//! ```

mod certificate;
mod chain;
pub mod commitments;
pub mod draw;
mod validator_set;
mod vote;

pub use self::certificate::Certificate;
pub use self::chain::{BrokenChain, Chain};
pub use self::validator_set::{ValidatorSet, ValidatorSetError, check_threshold};
pub use self::vote::Vote;
