//! The signed envelope around the objects of peers and validators.
//!
//! An envelope states its author, run, round, kind and the weights that it starts from. An object
//! can therefore not be moved to another key. It never interprets its payload.
//!
//! ```
//! use bytes::Bytes;
//! use covey_comms::objects::Lineage;
//! use covey_comms::objects::envelope::{Author, Envelope, Expectation, Kind, Subject};
//! use covey_comms::primitives::{Keypair, Round, RunId};
//!
//! let author = Keypair::from_secret(&[7; 32]);
//! let (run, round) = (RunId::of(b"description"), Round(3));
//! let base = Lineage::genesis(run);
//! let subject = Subject { run, round, kind: Kind::Heartbeat, base };
//! let object = Envelope::seal(&author, subject, Bytes::new()).to_bytes();
//!
//! let expectation = Expectation {
//!     run,
//!     kind: Kind::Heartbeat,
//!     round: Some(round),
//!     base: Some(base),
//!     author: Author::Is(author.peer()),
//!     max_payload: 0,
//! };
//! assert!(Envelope::open(&object, &expectation).is_ok());
//! ```

mod envelope;
mod equivocation;
mod error;
mod header;

pub use self::envelope::{Announcement, Author, Envelope, Expectation};
pub use self::equivocation::{Admission, Seen};
pub use self::error::EnvelopeError;
pub use self::header::{Header, Kind, Subject};
