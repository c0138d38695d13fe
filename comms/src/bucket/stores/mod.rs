//! The stores: memory, and the folders and S3 servers that the `object_store` crate reaches.
//!
//! A store implements [`Bucket`](super::Bucket) and translates every error into a
//! [`BucketError`](super::BucketError). It never retries: [`Retry`](super::decorators::Retry) does,
//! in one place. Start with [`MemoryBucket`], the shortest implementation.
//!
//! ```rust
//! use bytes::Bytes;
//! use covey_comms::bucket::stores::ObjectStoreBucket;
//! use covey_comms::bucket::{Bucket, Put};
//! use covey_comms::objects::Key;
//! use covey_comms::primitives::VirtualClock;
//!
//! let folder = tempfile::tempdir().unwrap();
//! let bucket = ObjectStoreBucket::folder(folder.path()).unwrap();
//! let body = Bytes::from_static(b"description");
//! let put = VirtualClock::default().run(bucket.put_new(&Key::RunDescription, body)).unwrap();
//! assert_eq!(put.unwrap(), Put::Created);
//! assert!(folder.path().join("run/description").is_file());
//! ```

mod memory;
mod object_store;

pub use self::memory::MemoryBucket;
pub use self::object_store::ObjectStoreBucket;
