//! Digests, keys, rounds and clocks: the values that every other room is made of.

mod byte_reader;
mod clock;
mod digest;
pub(crate) mod hex;
mod key_file;
mod keypair;
pub(crate) mod part_name;
mod round;
mod seeded_rng;
mod virtual_clock;

pub(crate) use self::byte_reader::Fields;
pub use self::clock::{Clock, SystemClock, Timestamp, within};
pub use self::digest::{Digest, NotHex, RunId};
pub use self::key_file::IdentityError;
pub use self::keypair::{Domain, Keypair, PeerId, Signature};
pub use self::round::Round;
pub(crate) use self::seeded_rng::SeededRng;
pub use self::virtual_clock::VirtualClock;
