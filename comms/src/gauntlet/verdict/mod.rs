//! The verdict of a round as a document that anybody can recompute.

mod difference;
mod document;

pub use self::difference::Difference;
pub use self::document::{Verdict, VerdictError};
