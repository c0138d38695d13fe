//! The signed envelope around everything that a peer or a validator writes.

mod envelope;
mod equivocation;
mod error;

pub use self::envelope::{Announcement, Author, Envelope, Expectation, Header, Kind, Subject};
pub use self::equivocation::{Admission, Seen};
pub use self::error::EnvelopeError;
