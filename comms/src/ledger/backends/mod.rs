//! The stores of a ledger: memory, a log in a bucket, or an EVM contract.
//!
//! A backend orders entries and keeps them. It never decides which entry has an effect; the fold in
//! [`state`](super::state) does that. `check_ledger_conformance`
//! tests every backend. Start with [`BucketLog`].
//!
//! ```rust
//! use std::sync::Arc;
//!
//! use covey_comms::bucket::stores::MemoryBucket;
//! use covey_comms::ledger::{Ledger, Operation, backends::BucketLog, state::Genesis};
//! use covey_comms::primitives::{Keypair, RunId, VirtualClock};
//!
//! let clock = VirtualClock::default();
//! let bucket = Arc::new(MemoryBucket::new(Arc::new(clock.clone())));
//! let [validator, peer] = [1, 2].map(|secret| Keypair::from_secret(&[secret; 32]));
//! let genesis = Genesis::new(RunId::of(b"my run"), [validator.peer()].into(), 1)?;
//! let log = BucketLog::new(bucket, genesis, Arc::new(clock.clone()), 7);
//! let appended = log.append(&peer, Operation::Register { bucket: None }, None);
//! assert_eq!(clock.run(appended).unwrap()?, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bucket_log;
#[cfg(feature = "evm")]
pub mod evm;
mod memory;

pub use self::bucket_log::BucketLog;
pub use self::memory::MemoryLedger;
