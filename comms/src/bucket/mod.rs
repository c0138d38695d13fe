//! A store of objects that are written once: in memory, in a folder, or behind S3.

mod bucket;
mod conformance;
pub mod decorators;
mod error;
pub mod location;
mod probe;
pub mod server;
pub mod stores;

pub use self::bucket::{Bucket, Listed, Put};
pub use self::conformance::{Violation, check_conformance};
pub use self::error::BucketError;
pub use self::probe::{Creation, Probe, probe};
