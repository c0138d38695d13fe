//! Who plays in the tests, and where.

use std::sync::Arc;

use covey_comms::bucket::Bucket;
use covey_comms::ledger::backends::BucketLog;
use covey_comms::ledger::state::Genesis;
use covey_comms::ledger::{Ledger, LedgerParty};
use covey_comms::primitives::{Clock, Keypair, RunId, VirtualClock};

/// The identity of one secret byte.
pub(crate) fn identity(secret: u8) -> Keypair {
    Keypair::from_secret(&[secret; 32])
}

/// The run of all tests.
pub(crate) fn run() -> RunId {
    RunId::of(b"a run with a ledger")
}

/// Three validators, of whom two must agree.
pub(crate) fn genesis() -> Genesis {
    Genesis::new(run(), [1, 2, 3].map(|secret| identity(secret).peer()).into(), 2).unwrap()
}

/// A way to the log in `bucket`, different for each seed.
pub(crate) fn log(bucket: &Arc<dyn Bucket>, clock: &Arc<dyn Clock>, seed: u64) -> Arc<dyn Ledger> {
    Arc::new(BucketLog::new(bucket.clone(), genesis(), clock.clone(), seed))
}

/// Three people of consecutive secrets, each with a way of his own.
pub(crate) fn parties(first: u8, ledger: impl Fn(u8) -> Arc<dyn Ledger>) -> [LedgerParty; 3] {
    [0, 1, 2].map(|index| LedgerParty {
        identity: identity(first + index),
        ledger: ledger(first + index),
    })
}

/// A clock that is its own time and one that is shared.
pub(crate) fn clock() -> (VirtualClock, Arc<dyn Clock>) {
    let clock = VirtualClock::default();
    (clock.clone(), Arc::new(clock))
}
