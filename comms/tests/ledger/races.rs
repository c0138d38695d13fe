//! Races of many writers for the next number.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use covey_comms::bucket::Bucket;
use covey_comms::bucket::decorators::{FaultRates, Faulty, Retry, RetryPolicy};
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::ledger::{LedgerClient, audit};
use futures_util::future::join_all;

use crate::participants::{clock, identity, log};

#[test]
fn simultaneous_writers_get_one_order_that_all_readers_see() {
    for seed in 0..5_u64 {
        let (clock, shared) = clock();
        let memory = MemoryBucket::new(shared.clone());
        let connections: Vec<_> = (10..22_u8)
            .map(|secret| {
                // Requests take time, listings lag and answers get lost, so writers do collide.
                let rates = FaultRates {
                    stale_listings: 0.3,
                    lost_acknowledgements: 0.1,
                    ..FaultRates::BAD_DAY
                };
                let rates = FaultRates { truncated_bodies: 0.0, ..rates };
                let faulty = Faulty::new(
                    memory.clone(),
                    shared.clone(),
                    rates,
                    seed * 1000 + u64::from(secret),
                );
                let policy =
                    RetryPolicy { deadline: Duration::from_secs(20_000), ..RetryPolicy::default() };
                let bucket: Arc<dyn Bucket> =
                    Arc::new(Retry::new(faulty, shared.clone(), policy, secret.into()));
                (identity(secret), log(&bucket, &shared, seed * 1000 + u64::from(secret)))
            })
            .collect();
        let writers = connections.iter().map(async |(peer, ledger)| {
            let mut client = LedgerClient::new(ledger.clone());
            let number = client.register(peer, None).await.unwrap();
            client.announce(peer, Some("s3://mine".into())).await.unwrap();
            number
        });
        let numbers: BTreeSet<u64> = clock.run(join_all(writers)).unwrap().into_iter().collect();
        assert_eq!(numbers.len(), 12, "seed {seed}");
        let calm: Arc<dyn Bucket> = Arc::new(memory);
        let all = clock.run(audit(log(&calm, &shared, 0).as_ref(), None)).unwrap().unwrap();
        assert_eq!(
            (all.num_entries, all.findings, all.state.registered().count()),
            (24, Vec::new(), 12),
            "seed {seed}"
        );
    }
}
