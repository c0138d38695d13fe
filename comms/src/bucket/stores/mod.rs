//! The stores themselves: memory, and everything that the `object_store` crate reaches.

mod memory;
mod object_store;

pub use self::memory::MemoryBucket;
pub use self::object_store::ObjectStoreBucket;
