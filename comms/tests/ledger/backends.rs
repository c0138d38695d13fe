//! Every keeper of a ledger keeps its contract.

use std::sync::Arc;
use std::time::Duration;

use covey_comms::bucket::Bucket;
use covey_comms::bucket::decorators::{FaultRates, Faulty, Retry, RetryPolicy};
use covey_comms::bucket::stores::{MemoryBucket, ObjectStoreBucket};
use covey_comms::ledger::backends::MemoryLedger;
use covey_comms::ledger::check_ledger_conformance;
use covey_comms::primitives::SystemClock;

use crate::participants::{clock, genesis, identity, log, parties};

#[test]
fn memory_keeps_the_contract() {
    let (clock, _) = clock();
    let ledger = MemoryLedger::new(genesis());
    let parties = |first| parties(first, |_| Arc::new(ledger.clone()));
    clock
        .run(check_ledger_conformance(&parties(1), &parties(10), &identity(20), None))
        .unwrap()
        .unwrap();
}

#[test]
fn a_bucket_keeps_the_contract() {
    let (clock, shared) = clock();
    let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(shared.clone()));
    let parties = |first| parties(first, |seed| log(&bucket, &shared, seed.into()));
    clock
        .run(check_ledger_conformance(&parties(1), &parties(10), &identity(20), None))
        .unwrap()
        .unwrap();
}

#[test]
fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let bucket: Arc<dyn Bucket> = Arc::new(ObjectStoreBucket::folder(folder.path()).unwrap());
    let (_, parties) = ((), |first| {
        parties(first, |seed| log(&bucket, &(Arc::new(SystemClock) as _), seed.into()))
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime
        .block_on(check_ledger_conformance(&parties(1), &parties(10), &identity(20), None))
        .unwrap();
}

#[test]
fn a_bucket_keeps_the_contract_on_bad_days() {
    for seed in 0..10 {
        let (clock, shared) = clock();
        let memory = MemoryBucket::new(shared.clone());
        let parties = |first| {
            parties(first, |secret| {
                let rates = FaultRates {
                    errors: 0.2,
                    stalls: 0.05,
                    lost_acknowledgements: 0.2,
                    stale_listings: 0.0,
                    truncated_bodies: 0.0,
                    ..FaultRates::BAD_DAY
                };
                let faulty = Faulty::new(
                    memory.clone(),
                    shared.clone(),
                    rates,
                    seed * 100 + u64::from(secret),
                );
                let policy =
                    RetryPolicy { deadline: Duration::from_secs(20_000), ..RetryPolicy::default() };
                let bucket: Arc<dyn Bucket> =
                    Arc::new(Retry::new(faulty, shared.clone(), policy, secret.into()));
                log(&bucket, &shared, secret.into())
            })
        };
        let outcome = clock
            .run(check_ledger_conformance(&parties(1), &parties(10), &identity(20), None))
            .unwrap();
        assert!(outcome.is_ok(), "seed {seed}: {outcome:?}");
    }
}
