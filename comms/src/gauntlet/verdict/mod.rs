//! The verdict of a round: a document that every reader can recompute.
//!
//! The folder encodes, parses and compares verdicts. It never fetches one, and trusts no field of
//! it. Start with [`Verdict`]; `docs/gauntlet.md` lists the fields that are compared exactly.
//!
//! ```rust
//! use covey_comms::gauntlet::verdict::{Verdict, VerdictError};
//!
//! // A verdict of another release is rejected by its version, before its content is read.
//! let error = Verdict::parse(br#"{"version":9,"verdict":{}}"#).unwrap_err();
//! assert!(matches!(error, VerdictError::UnknownVersion { expected: 1, got: 9 }));
//! ```

mod difference;
mod document;

pub use self::difference::Difference;
pub use self::document::{Verdict, VerdictError};
