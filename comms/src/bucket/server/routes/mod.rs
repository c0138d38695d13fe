//! The S3 operations: single objects, listings, and multipart uploads.

mod listing;
mod multipart;
mod operations;

pub(crate) use self::multipart::{Uploads, bare_tag};
pub(crate) use self::operations::Operations;
