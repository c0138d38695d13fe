//! The values of which all other rooms are made: digests, keys, rounds and clocks.
//!
//! This room performs no network access. It touches the disk only to read and write the key file,
//! and it takes the time only through [`Clock`]. Start with [`Digest`], [`PeerId`] and [`Round`],
//! which identify every object in a bucket.
//!
//! ```rust
//! use covey_comms::primitives::{Domain, Keypair, PeerId};
//!
//! let keypair = Keypair::from_secret(&[7; 32]);
//! let signature = keypair.sign(Domain::Envelope, b"delta of round 3");
//! let peer: PeerId = keypair.peer();
//! assert!(peer.verify(Domain::Envelope, b"delta of round 3", &signature));
//! // A signature is valid in its domain only.
//! assert!(!peer.verify(Domain::Ledger, b"delta of round 3", &signature));
//! ```

mod byte_reader;
mod clock;
mod digest;
pub(crate) mod hex;
mod key_file;
mod keypair;
pub(crate) mod part_name;
mod peer_id;
mod round;
mod seeded_rng;
mod virtual_clock;

pub(crate) use self::byte_reader::Fields;
pub use self::clock::{Clock, SystemClock, Timestamp, within};
pub use self::digest::{Digest, NotHex, RunId};
pub use self::key_file::IdentityError;
pub use self::keypair::Keypair;
pub use self::peer_id::{Domain, PeerId, Signature};
pub use self::round::Round;
pub(crate) use self::seeded_rng::SeededRng;
pub use self::virtual_clock::VirtualClock;
