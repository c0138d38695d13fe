//! Key pairs, genesis config, clocks and logs for the tests.

use std::sync::Arc;

use covey_comms::bucket::Bucket;
use covey_comms::ledger::backends::BucketLog;
use covey_comms::ledger::state::Genesis;
use covey_comms::ledger::{Ledger, LedgerParty};
use covey_comms::primitives::{Clock, Keypair, RunId, VirtualClock};

/// The key pair with 32 times this byte as its secret.
pub(crate) fn identity(secret: u8) -> Keypair {
    Keypair::from_secret(&[secret; 32])
}

/// The run of all tests.
pub(crate) fn run() -> RunId {
    RunId::of(b"a run with a ledger")
}

/// Three validators with a threshold of two.
pub(crate) fn genesis() -> Genesis {
    Genesis::new(run(), [1, 2, 3].map(|secret| identity(secret).peer()).into(), 2).unwrap()
}

/// A connection to the log in `bucket`; the seed sets its pauses.
pub(crate) fn log(bucket: &Arc<dyn Bucket>, clock: &Arc<dyn Clock>, seed: u64) -> Arc<dyn Ledger> {
    Arc::new(BucketLog::new(bucket.clone(), genesis(), clock.clone(), seed))
}

/// Three parties with consecutive secrets, each with a separate connection.
pub(crate) fn parties(first: u8, ledger: impl Fn(u8) -> Arc<dyn Ledger>) -> [LedgerParty; 3] {
    [0, 1, 2].map(|index| LedgerParty {
        identity: identity(first + index),
        ledger: ledger(first + index),
    })
}

/// A virtual clock to run futures on, and the same clock to pass on.
pub(crate) fn clock() -> (VirtualClock, Arc<dyn Clock>) {
    let clock = VirtualClock::default();
    (clock.clone(), Arc::new(clock))
}
