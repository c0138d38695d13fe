//! HTTP requests, bodies, conditions and error documents as S3 defines them.
//!
//! Start with `request`, which handles one request. This folder decides nothing about permissions
//! and keys. It never holds more than a block of a body, or a chunk of a signed body, in memory.

mod body;
mod chunk_limit;
mod conditions;
mod request;
mod s3_error;

pub(crate) use self::body::{BodyStream, IncomingBody, object_stream, sized_blob};
pub(crate) use self::conditions::{check_dates, check_tags, write_mode};
pub(crate) use self::request::handle;
pub(crate) use self::s3_error::store_error;
