//! The S3 operations: single objects, listings, and multipart uploads.
//!
//! Start with [`Operations`], which implements the trait of `s3s`. Permissions were checked before
//! a request arrives here. This folder keeps no state apart from the table of multipart uploads,
//! which is lost when the server ends.

mod listing;
mod multipart;
mod operations;

pub(crate) use self::multipart::{Uploads, tag_value};
pub(crate) use self::operations::Operations;
