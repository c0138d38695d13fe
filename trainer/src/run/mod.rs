//! A distributed run, seen from one machine.

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
pub use self::ledger::{RegisteredPeers, WALLET_VARIABLE};
pub use self::replica::{Replica, ReplicaError, check_weights, exclusion};
pub use self::spec::{RunSpec, SharedSource};
pub use self::sync::{SyncedState, newest_checkpoint};
pub use self::verify::{Depth, Instruments, RoundVerification, Verification};
