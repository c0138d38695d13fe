//! A store of write-once objects: in memory, in a folder, or behind S3.
//!
//! Start with the trait [`Bucket`] and its laws. [`stores`] implement it, [`decorators`] wrap any
//! implementation, and [`location`] opens a bucket from a URL. [`server`] is the other side: it
//! serves a folder to S3 clients. [`check_conformance`] tests the laws on any bucket; [`probe()`]
//! tests whether a real store refuses to overwrite.
//!
//! This folder never interprets an object: it moves bytes, and it verifies neither signatures nor
//! digests. It never reads more bytes from a store than the caller allows.
//!
//! ```rust
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use covey_comms::bucket::stores::MemoryBucket;
//! use covey_comms::bucket::{Bucket, BucketError, Put};
//! use covey_comms::objects::Key;
//! use covey_comms::primitives::{Round, VirtualClock};
//!
//! let clock = VirtualClock::default();
//! let bucket = MemoryBucket::new(Arc::new(clock.clone()));
//! let key = Key::Manifest(Round(1));
//! let put = |text| clock.run(bucket.put_new(&key, Bytes::from_static(text))).unwrap().unwrap();
//! assert_eq!(put(b"first"), Put::Created);
//! assert_eq!(put(b"other"), Put::Occupied);
//! // A reader states how many bytes it accepts.
//! let body = clock.run(bucket.get(&key, 100)).unwrap().unwrap();
//! assert_eq!(body, "first");
//! let error = clock.run(bucket.get(&key, 4)).unwrap().unwrap_err();
//! assert!(matches!(error, BucketError::TooLarge { announced: 5, limit: 4, .. }));
//! ```

mod bucket;
#[cfg(feature = "testing")]
mod conformance;
pub mod decorators;
mod error;
pub mod location;
mod probe;
pub mod server;
pub mod stores;

pub use self::bucket::{Bucket, Listed, Put};
#[cfg(feature = "testing")]
pub use self::conformance::{Violation, check_conformance};
pub use self::error::BucketError;
pub use self::probe::{Creation, Probe, probe};
