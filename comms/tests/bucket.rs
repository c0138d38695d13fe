//! Every store obeys the laws of a bucket, and every decorator adds exactly its behaviour.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use covey_comms::bucket::decorators::{
    Budgeted, ByteBudget, FaultRates, Faulty, RateLimit, RateLimited, RateLimiter, Retry,
    RetryPolicy,
};
use covey_comms::bucket::stores::{MemoryBucket, ObjectStoreBucket};
use covey_comms::bucket::{
    Bucket, BucketError, Creation, Listed, Probe, Put, check_conformance, probe,
};
use covey_comms::objects::{Key, Prefix};
use covey_comms::primitives::{Clock, Digest, Round, SystemClock, Timestamp, VirtualClock};
use covey_comms::run::{MAX_SKEW, check_clock_skew};

const SECOND: Duration = Duration::from_secs(1);

fn body(text: &'static [u8]) -> Bytes {
    Bytes::from_static(text)
}

fn memory(clock: &VirtualClock) -> MemoryBucket {
    MemoryBucket::new(Arc::new(clock.clone()))
}

fn key(round: u32) -> Key {
    Key::Manifest(Round(round))
}

#[test]
fn a_bucket_in_memory_obeys_the_laws() {
    let clock = VirtualClock::default();
    clock.run(check_conformance(&memory(&clock))).unwrap().unwrap();
}

#[test]
fn a_folder_obeys_the_laws() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = ObjectStoreBucket::folder(folder.path()).unwrap();
    VirtualClock::default().run(check_conformance(&bucket)).unwrap().unwrap();
}

#[test]
fn a_folder_obeys_the_laws_on_a_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = ObjectStoreBucket::folder(folder.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let retry = Retry::new(bucket, Arc::new(SystemClock), RetryPolicy::default(), 0);
    runtime.block_on(check_conformance(&retry)).unwrap();
}

#[test]
fn files_without_the_name_of_a_key_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = ObjectStoreBucket::folder(folder.path()).unwrap();
    let clock = VirtualClock::default();
    let put = clock.run(bucket.put_new(&key(1), body(b"x"))).unwrap().unwrap();
    assert_eq!(put, Put::Created);
    std::fs::write(folder.path().join("rounds/0000000001/notes.txt"), "not ours").unwrap();
    let listing = clock.run(bucket.list(&Prefix::Rounds, None)).unwrap().unwrap();
    assert_eq!(listing.iter().map(|listed| listed.key).collect::<Vec<_>>(), [key(1)]);
}

#[test]
fn decorators_obey_the_laws_on_a_faulty_store() {
    for seed in 0..50 {
        let clock = VirtualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        // No decorator can repair a stale listing or a body that was truncated silently; readers
        // must.
        let rates = FaultRates {
            errors: 0.2,
            stalls: 0.1,
            lost_acknowledgements: 0.2,
            stale_listings: 0.0,
            truncated_bodies: 0.0,
            ..FaultRates::BAD_DAY
        };
        let faulty = Faulty::new(memory(&clock), shared.clone(), rates, seed);
        let limit = RateLimit { up: NonZeroU64::new(1000), down: NonZeroU64::new(1000) };
        let budget = Budgeted::new(RateLimited::new(faulty, shared.clone(), limit), u64::MAX);
        let policy = RetryPolicy {
            try_limit: SECOND * 2000,
            deadline: SECOND * 20_000,
            ..RetryPolicy::default()
        };
        let bucket = Retry::new(budget, shared, policy, seed);
        let outcome = clock.run(check_conformance(&bucket)).unwrap();
        assert!(outcome.is_ok(), "seed {seed}: {outcome:?}");
    }
}

#[test]
fn a_write_after_a_lost_acknowledgement_succeeds() {
    let clock = VirtualClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let rates = FaultRates { lost_acknowledgements: 0.5, ..FaultRates::default() };
    let faulty = Faulty::new(memory(&clock), shared.clone(), rates, 3);
    let bucket = Retry::new(faulty, shared, RetryPolicy::default(), 3);
    let puts: Vec<_> = (0..40)
        .map(|round| clock.run(bucket.put_new(&key(round), body(b"x"))).unwrap().unwrap())
        .collect();
    assert!(puts.contains(&Put::Created) && puts.contains(&Put::Unchanged), "{puts:?}");
    assert!(!puts.contains(&Put::Occupied), "{puts:?}");
}

#[test]
fn retries_end_at_the_deadline() {
    let clock = VirtualClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let rates = FaultRates { errors: 1.0, ..FaultRates::default() };
    let policy = RetryPolicy { deadline: SECOND * 60, ..RetryPolicy::default() };
    let bucket =
        Retry::new(Faulty::new(memory(&clock), shared.clone(), rates, 1), shared, policy, 1);
    let error = clock.run(bucket.get(&key(1), 10)).unwrap().unwrap_err();
    let BucketError::GaveUp { attempts, elapsed, .. } = error else { panic!("{error}") };
    assert!((8..60).contains(&attempts), "{attempts} attempts");
    assert!(elapsed <= SECOND * 60 && elapsed > SECOND * 40, "{elapsed:?}");
}

#[test]
fn a_stalled_attempt_times_out() {
    let clock = VirtualClock::default();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let rates = FaultRates { stalls: 1.0, stall: SECOND * 1000, ..FaultRates::default() };
    let policy = RetryPolicy { try_limit: SECOND, deadline: SECOND * 10, ..RetryPolicy::default() };
    let bucket =
        Retry::new(Faulty::new(memory(&clock), shared.clone(), rates, 1), shared, policy, 1);
    let error = clock.run(bucket.list(&Prefix::Peers, None)).unwrap().unwrap_err();
    let BucketError::GaveUp { source, .. } = error else { panic!("{error}") };
    assert!(matches!(*source, BucketError::TimedOut { .. }), "{source}");
    assert!(clock.now().since(Timestamp::default()) <= SECOND * 10);
}

#[test]
fn permanent_errors_are_not_repeated() {
    let clock = VirtualClock::default();
    let bucket = Retry::new(memory(&clock), Arc::new(clock.clone()), RetryPolicy::default(), 1);
    let error = clock.run(bucket.get(&key(1), 10)).unwrap().unwrap_err();
    assert!(matches!(error, BucketError::NotFound { .. }), "{error}");
    assert_eq!(clock.now(), Timestamp::default());
}

#[test]
fn the_average_rate_stays_below_the_limit() {
    let clock = VirtualClock::default();
    let limit = RateLimit { up: NonZeroU64::new(100), down: NonZeroU64::new(50) };
    let bucket = RateLimited::new(memory(&clock), Arc::new(clock.clone()), limit);
    let transfers = async {
        let keys = [0, 1, 2, 3].map(key);
        futures_util::future::join_all(
            keys.iter().map(|key| bucket.put_new(key, Bytes::from(vec![7; 100]))),
        )
        .await;
        let between = clock.now();
        let first = key(0);
        futures_util::future::join_all((0..4).map(|_| bucket.get(&first, 100))).await;
        between
    };
    let between = clock.run(transfers).unwrap();
    assert_eq!(between.since(Timestamp::default()), SECOND * 4);
    assert_eq!(clock.now().since(between), SECOND * 8);
}

#[test]
fn buckets_with_one_limiter_share_its_rate() {
    let clock = VirtualClock::default();
    let limiter = RateLimiter::new(RateLimit { up: NonZeroU64::new(100), down: None });
    let buckets = [0, 1, 2]
        .map(|_| RateLimited::on(memory(&clock), Arc::new(clock.clone()), limiter.clone()));
    let first = key(0);
    let puts = buckets.iter().map(|bucket| bucket.put_new(&first, Bytes::from(vec![7; 100])));
    clock.run(futures_util::future::join_all(puts)).unwrap();
    assert_eq!(clock.now().since(Timestamp::default()), SECOND * 3);
}

#[test]
fn buckets_with_one_budget_share_its_bytes() {
    let clock = VirtualClock::default();
    let shared_budget = ByteBudget::new(25);
    let [one, other] = [0, 1].map(|_| Budgeted::sharing(memory(&clock), shared_budget.clone()));
    let put = clock.run(one.put_new(&key(0), Bytes::from(vec![7; 20]))).unwrap();
    assert_eq!(put.unwrap(), Put::Created);
    assert_eq!((one.left(), other.left()), (5, 5));
    let error = clock.run(other.put_new(&key(0), Bytes::from(vec![7; 6]))).unwrap().unwrap_err();
    assert!(
        matches!(error, BucketError::BudgetSpent { needed: 6, left: 5, budget: 25, .. }),
        "{error}"
    );
}

#[test]
fn a_byte_budget_is_never_exceeded() {
    let clock = VirtualClock::default();
    let bucket = Budgeted::new(memory(&clock), 25);
    let put = |round, length| {
        clock.run(bucket.put_new(&key(round), Bytes::from(vec![7; length]))).unwrap()
    };
    let get = |round, limit| clock.run(bucket.get(&key(round), limit)).unwrap();
    assert_eq!(put(0, 10).unwrap(), Put::Created);
    assert_eq!(get(0, 100).unwrap().len(), 10);
    assert_eq!(bucket.left(), 5);
    for error in [put(1, 6).unwrap_err(), get(0, 100).unwrap_err()] {
        assert!(matches!(error, BucketError::BudgetSpent { left: 5, budget: 25, .. }), "{error}");
    }
    assert!(matches!(
        get(0, 3).unwrap_err(),
        BucketError::TooLarge { announced: 10, limit: 3, .. }
    ));
    assert!(matches!(get(9, 100).unwrap_err(), BucketError::NotFound { .. }));
    assert_eq!(bucket.left(), 5, "failed requests cost nothing");
    assert_eq!(put(2, 5).unwrap(), Put::Created);
}

#[test]
fn faults_depend_on_the_seed_and_not_on_the_order_of_requests() {
    let outcomes = |rounds: &[u32], seed| {
        let clock = VirtualClock::default();
        let rates = FaultRates { errors: 0.5, ..FaultRates::BAD_DAY };
        let bucket = Faulty::new(memory(&clock), Arc::new(clock.clone()), rates, seed);
        let mut outcomes: Vec<_> = rounds
            .iter()
            .map(|round| {
                (*round, clock.run(bucket.put_new(&key(*round), body(b"x"))).unwrap().is_ok())
            })
            .collect();
        outcomes.sort();
        outcomes
    };
    let ascending: Vec<u32> = (0..50).collect();
    let descending: Vec<u32> = (0..50).rev().collect();
    assert_eq!(outcomes(&ascending, 1), outcomes(&descending, 1));
    assert_ne!(outcomes(&ascending, 1), outcomes(&ascending, 2));
}

#[test]
fn a_stale_listing_is_the_previous_one_and_a_truncated_body_a_prefix() {
    let clock = VirtualClock::default();
    let rates = FaultRates { stale_listings: 1.0, truncated_bodies: 1.0, ..FaultRates::default() };
    let bucket = Faulty::new(memory(&clock), Arc::new(clock.clone()), rates, 1);
    let mut seen = Vec::new();
    for round in 0..3 {
        let put = clock.run(bucket.put_new(&key(round), body(b"some content"))).unwrap().unwrap();
        assert_eq!(put, Put::Created);
        seen.push(clock.run(bucket.list(&Prefix::Rounds, None)).unwrap().unwrap().len());
    }
    assert_eq!(seen, [0, 1, 2]);
    let got = clock.run(bucket.get(&key(0), 100)).unwrap().unwrap();
    assert!(got.len() < 12 && b"some content".starts_with(&got), "{got:?}");
}

#[test]
fn a_probe_removes_its_object() {
    let clock = VirtualClock::default();
    let bucket = memory(&clock);
    clock.advance(SECOND);
    let expected = Probe { creation: Creation::Honoured, store_time: Some(clock.now()) };
    assert_eq!(clock.run(probe(&bucket, Digest::of(b"nonce"))).unwrap().unwrap(), expected);
    assert_eq!(clock.run(bucket.list(&Prefix::Probes, None)).unwrap().unwrap(), []);
}

#[test]
fn a_probe_detects_stores_that_overwrite_or_are_read_only() {
    let clock = VirtualClock::default();
    let overwriting = BrokenStore { inner: memory(&clock), is_read_only: false };
    assert_eq!(
        clock.run(probe(&overwriting, Digest::of(b"nonce"))).unwrap().unwrap().creation,
        Creation::Overwrites
    );
    let read_only = BrokenStore { inner: memory(&clock), is_read_only: true };
    let expected = Probe { creation: Creation::ReadOnly, store_time: None };
    assert_eq!(clock.run(probe(&read_only, Digest::of(b"nonce"))).unwrap().unwrap(), expected);
}

#[test]
fn a_large_clock_skew_is_refused_in_both_directions() {
    let noon = Timestamp::from_micros(1 << 50);
    for (ours, store) in [(noon, noon), (noon + MAX_SKEW, noon), (noon, noon + MAX_SKEW)] {
        assert!(check_clock_skew(ours, store).is_ok());
    }
    let far = noon + MAX_SKEW + SECOND;
    for (ours, store, word) in [(far, noon, "clock is ahead"), (noon, far, "clock is behind")] {
        let error = check_clock_skew(ours, store).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the clocks of this machine and of the store differ by 301 s, the limit is 300 s"
        );
        assert!(error.hint().unwrap().contains(word), "{error:?}");
    }
}

/// A store that overwrites and reports success, or that is read-only.
#[derive(Debug)]
struct BrokenStore {
    inner: MemoryBucket,
    is_read_only: bool,
}

#[async_trait]
impl Bucket for BrokenStore {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        self.inner.get(key, limit).await
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        if self.is_read_only {
            return Err(BucketError::Denied { what: key.to_string(), source: "read only".into() });
        }
        self.inner.delete(key).await?;
        self.inner.put_new(key, body).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }
}

#[test]
fn a_store_that_overwrites_does_not_conform() {
    let clock = VirtualClock::default();
    let overwriting = BrokenStore { inner: memory(&clock), is_read_only: false };
    let violation = clock.run(check_conformance(&overwriting)).unwrap().unwrap_err();
    assert_eq!(violation.law, "keys are written once");
}

#[test]
fn a_bucket_that_checks_first_obeys_the_laws() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = ObjectStoreBucket::folder(folder.path()).unwrap().looking_first();
    VirtualClock::default().run(check_conformance(&bucket)).unwrap().unwrap();
}
