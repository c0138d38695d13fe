//! A distributed run as one machine sees it: creating it, joining it, validating it, and verifying
//! it.
//!
//! - [`NewRun`] creates a run in a bucket; [`RunSpec`] reads back the settings that its peers
//!   share.
//! - [`peer`] and [`validator`] contain the two long-running roles.
//! - [`Verification`] recomputes the history of a run, for any reader.
//!
//! The protocol itself is in `covey_comms`, and this folder adds models, data and devices to it. It
//! never parses a command line and never prints results. Start with [`peer::RoundLoop`].
//!
//! ```
//! use covey::run::Replica;
//! use covey::training::checkpoint::NamedTensor;
//! use covey_optim::sparseloco::SparseLocoConfig;
//!
//! let norm = NamedTensor { name: "norm".into(), shape: vec![64], values: vec![1.0; 64] };
//! let replica = Replica::new(vec![norm], &SparseLocoConfig::default())?;
//! let copy = Replica::new(replica.weights().cloned().collect(), &SparseLocoConfig::default())?;
//! assert_eq!(copy.digest(), replica.digest());
//! # Ok::<(), covey_optim::sparseloco::SparseLocoError>(())
//! ```

mod bucket;
mod create;
pub mod ledger;
pub mod peer;
mod replica;
mod spec;
mod sync;
pub mod validator;
mod verify;
mod weight_files;

pub use self::bucket::{
    Connection, Limits, OwnBucket, identity, nonce, own_bucket, peer_buckets_opener,
};
pub use self::create::{NewRun, assignment};
pub use self::ledger::{LedgerChoice, RegisteredPeers, WALLET_VARIABLE};
pub use self::replica::{Replica, ReplicaError, check_weights, exclusion};
pub use self::spec::{RunSpec, SharedSource};
pub use self::sync::{SyncedState, newest_checkpoint};
pub use self::verify::{Depth, Instruments, RoundVerification, Verification};
