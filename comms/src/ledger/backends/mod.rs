//! Where a ledger is kept: in memory, as a log in a bucket, or in an EVM contract.

mod bucket_log;
#[cfg(feature = "evm")]
pub mod evm;
mod memory;

pub use self::bucket_log::BucketLog;
pub use self::memory::MemoryLedger;
