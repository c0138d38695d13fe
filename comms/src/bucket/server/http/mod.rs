//! HTTP requests, bodies, conditions and error documents as S3 defines them.

mod body;
mod conditions;
mod request;
mod s3_error;

pub(crate) use self::body::{Arrival, BodyStream, blob, outflow};
pub(crate) use self::conditions::{check_dates, check_tags, mode};
pub(crate) use self::request::exchange;
pub(crate) use self::s3_error::answer;
