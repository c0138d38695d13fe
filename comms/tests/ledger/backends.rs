//! Conformance of the backends of a ledger.

use std::sync::Arc;
use std::time::Duration;

use covey_comms::bucket::Bucket;
use covey_comms::bucket::decorators::{FaultRates, Faulty, Retry, RetryPolicy};
use covey_comms::bucket::stores::{MemoryBucket, ObjectStoreBucket};
use covey_comms::ledger::backends::MemoryLedger;
use covey_comms::ledger::check_ledger_conformance;
use covey_comms::primitives::{Clock, SystemClock};

use crate::participants::{clock, genesis, identity, log, parties};

#[test]
fn memory_conforms() {
    let (clock, _) = clock();
    let ledger = MemoryLedger::new(genesis());
    let [validators, peers] = [1, 10].map(|first| parties(first, |_| Arc::new(ledger.clone())));
    let spare = identity(20);
    let checked = check_ledger_conformance(&validators, &peers, &spare, None);
    clock.run(checked).unwrap().unwrap();
}

#[test]
fn a_log_in_a_bucket_conforms() {
    let (clock, shared) = clock();
    let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(shared.clone()));
    let [validators, peers] =
        [1, 10].map(|first| parties(first, |seed| log(&bucket, &shared, seed.into())));
    let spare = identity(20);
    let checked = check_ledger_conformance(&validators, &peers, &spare, None);
    clock.run(checked).unwrap().unwrap();
}

#[test]
fn a_log_in_a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let bucket: Arc<dyn Bucket> = Arc::new(ObjectStoreBucket::folder(folder.path()).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let [validators, peers] =
        [1, 10].map(|first| parties(first, |seed| log(&bucket, &clock, seed.into())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let spare = identity(20);
    let checked = check_ledger_conformance(&validators, &peers, &spare, None);
    runtime.block_on(checked).unwrap();
}

#[test]
fn a_log_behind_faults_and_retries_conforms() {
    for seed in 0..10 {
        let (clock, shared) = clock();
        let memory = MemoryBucket::new(shared.clone());
        let [validators, peers] = [1, 10].map(|first| {
            parties(first, |secret| {
                let faulty_seed = seed * 100 + u64::from(secret);
                let bucket = retried(memory.clone(), &shared, faulty_seed, secret.into());
                log(&bucket, &shared, secret.into())
            })
        });
        let spare = identity(20);
        let checked = check_ledger_conformance(&validators, &peers, &spare, None);
        let outcome = clock.run(checked).unwrap();
        assert!(outcome.is_ok(), "seed {seed}: {outcome:?}");
    }
}

/// A bucket with errors and lost answers behind a retry.
fn retried(
    memory: MemoryBucket,
    clock: &Arc<dyn Clock>,
    faulty_seed: u64,
    retry_seed: u64,
) -> Arc<dyn Bucket> {
    // Without stale listings and truncated bodies, which a retry cannot repair: the suite expects
    // that a reader finds every entry at once.
    let rates = FaultRates {
        errors: 0.2,
        stalls: 0.05,
        lost_acknowledgements: 0.2,
        stale_listings: 0.0,
        truncated_bodies: 0.0,
        ..FaultRates::BAD_DAY
    };
    let faulty = Faulty::new(memory, clock.clone(), rates, faulty_seed);
    let policy = RetryPolicy { deadline: Duration::from_secs(20_000), ..RetryPolicy::default() };
    Arc::new(Retry::new(faulty, clock.clone(), policy, retry_seed))
}
