//! The laws of a bucket on a real S3 server. `scripts/test_s3.sh` starts two servers and runs this
//! test on each.
//!
//! - `COVEY_TEST_S3=s3://bucket/prefix?endpoint=http://host:port` names an existing bucket and an
//!   empty prefix. The bucket must be readable without keys.
//! - The usual `AWS_*` variables hold the keys.
//! - `COVEY_TEST_S3_LACKS=signatures` means that the server does not check signatures.
//!
//! Run `cargo test --release --workspace --test s3 -- --ignored`.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::sync::Arc;

use bytes::Bytes;
use covey_comms::bucket::decorators::{Retry, RetryPolicy};
use covey_comms::bucket::location::{Access, Location, Secret, open};
use covey_comms::bucket::stores::ObjectStoreBucket;
use covey_comms::bucket::{Bucket, BucketError, Creation, Put, check_conformance, probe};
use covey_comms::ledger::backends::BucketLog;
use covey_comms::ledger::state::Genesis;
use covey_comms::ledger::{LedgerParty, check_ledger_conformance};
use covey_comms::objects::{Key, Prefix};
use covey_comms::primitives::{Clock, Digest, Keypair, PeerId, Round, RunId, SystemClock};
use covey_comms::run::check_clock_skew;
use futures_util::future::{join_all, try_join_all};

/// The part of the bucket for one test, because tests run at the same time.
fn location(test: &str) -> Location {
    let mut location =
        std::env::var("COVEY_TEST_S3").expect("COVEY_TEST_S3 names a bucket").parse().unwrap();
    let Location::S3 { prefix, .. } = &mut location else { panic!("not S3") };
    *prefix = format!("{prefix}/{test}");
    location
}

fn access() -> Access {
    Access::from_variables(std::env::vars()).unwrap()
}

fn bucket(test: &str) -> Arc<dyn Bucket> {
    let clock = Arc::new(SystemClock);
    Arc::new(Retry::new(
        open(&location(test), &access(), clock.clone()).unwrap(),
        clock,
        RetryPolicy::default(),
        1,
    ))
}

/// The same part of the bucket with other keys, or of another bucket of the server.
fn other(test: &str, name: Option<&str>, keys: Option<(String, Secret)>) -> ObjectStoreBucket {
    let Location::S3 { bucket, prefix, endpoint, region } = location(test) else {
        panic!("not S3")
    };
    ObjectStoreBucket::s3(
        name.unwrap_or(&bucket),
        &prefix,
        &Access { endpoint, region, keys, ..Access::default() },
    )
    .unwrap()
}

/// Returns true if the server distinguishes clients.
fn checks_signatures() -> bool {
    std::env::var("COVEY_TEST_S3_LACKS").unwrap_or_default() != "signatures"
}

fn on_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
#[ignore = "needs a server"]
fn a_server_obeys_the_laws() {
    on_runtime(async {
        let bucket = bucket("contract");
        let nonce = Digest::of(format!("{:?}", SystemClock.now()).as_bytes());
        let probe = probe(bucket.as_ref(), nonce).await.unwrap();
        assert_eq!(probe.creation, Creation::Honoured);
        check_clock_skew(SystemClock.now(), probe.store_time.unwrap()).unwrap();
        check_conformance(bucket.as_ref()).await.unwrap();
    });
}

#[test]
#[ignore = "needs a server"]
fn of_32_writers_one_wins() {
    on_runtime(async {
        let key = Key::Manifest(Round(1));
        let writers = (0..32_u8).map(|writer| async move {
            let bucket = bucket("writers");
            bucket.put_new(&key, Bytes::from(vec![writer; 1000])).await.unwrap()
        });
        let puts = join_all(writers).await;
        let winners: Vec<_> = (0..32).filter(|writer| puts[*writer].is_stored()).collect();
        assert_eq!(winners.len(), 1, "{puts:?}");
        let bucket = bucket("writers");
        assert_eq!(bucket.get(&key, 1000).await.unwrap(), vec![winners[0] as u8; 1000]);
        bucket.delete(&key).await.unwrap();
    });
}

#[test]
#[ignore = "needs a server"]
fn large_objects_are_stored_whole() {
    on_runtime(async {
        let (bucket, key) = (bucket("large"), Key::Delta(Round(1), PeerId::from_bytes([1; 32])));
        let body: Bytes = (0..24_000_000).map(|index| (index % 251) as u8).collect();
        assert!(bucket.put_new(&key, body.clone()).await.unwrap().is_stored());
        assert!(bucket.get(&key, body.len() as u64).await.unwrap() == body, "the bytes differ");
        let rejection = bucket.get(&key, body.len() as u64 - 1).await;
        assert!(matches!(rejection, Err(BucketError::TooLarge { .. })), "{rejection:?}");
        bucket.delete(&key).await.unwrap();
    });
}

#[test]
#[ignore = "needs a server"]
fn long_listings_are_complete() {
    on_runtime(async {
        let bucket = bucket("listings");
        let keys: Vec<_> =
            (0..1100).map(|round| Key::CheckpointDescription(Round(round))).collect();
        for some in keys.chunks(50) {
            let puts =
                try_join_all(some.iter().map(|key| bucket.put_new(key, Bytes::from_static(b"x"))));
            assert!(puts.await.unwrap().into_iter().all(Put::is_stored));
        }
        let listed = bucket.list(&Prefix::Checkpoints, Some(&keys[99])).await.unwrap();
        try_join_all(keys.iter().map(|key| bucket.delete(key))).await.unwrap();
        assert_eq!(listed.into_iter().map(|listed| listed.key).collect::<Vec<_>>(), keys[100..]);
    });
}

#[test]
#[ignore = "needs a server"]
fn an_absent_bucket_is_missing() {
    let bucket = other("missing", Some("never-made-bucket"), access().keys);
    on_runtime(async {
        let errors = [
            bucket.get(&Key::RunDescription, 10).await.unwrap_err(),
            bucket.list(&Prefix::Rounds, None).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, BucketError::Missing { .. }), "{error:?}");
        }
    });
}

#[test]
#[ignore = "needs a server that checks signatures"]
fn a_wrong_secret_is_denied() {
    if !checks_signatures() {
        return;
    }
    let keys = access().keys.map(|(id, _)| (id, Secret::new("wrong")));
    let bucket = other("secret", None, keys);
    on_runtime(async {
        let errors = [
            bucket.get(&Key::RunDescription, 10).await.unwrap_err(),
            bucket.put_new(&Key::RunDescription, Bytes::from_static(b"x")).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, BucketError::Denied { .. }), "{error:?}");
        }
    });
}

#[test]
#[ignore = "needs a server with public read and no public write"]
fn a_public_bucket_is_read_without_keys() {
    if !checks_signatures() {
        return;
    }
    on_runtime(async {
        let (owned, public, key) =
            (bucket("public"), other("public", None, None), Key::Manifest(Round(42)));
        assert!(owned.put_new(&key, Bytes::from_static(b"open")).await.unwrap().is_stored());
        assert_eq!(public.get(&key, 10).await.unwrap(), "open");
        assert_eq!(public.list(&Prefix::Rounds, None).await.unwrap().len(), 1);
        assert_eq!(
            probe(&public, Digest::of(b"public")).await.unwrap().creation,
            Creation::ReadOnly
        );
        owned.delete(&key).await.unwrap();
    });
}

/// Three validators and three unregistered peers, each with a separate client.
#[test]
#[ignore = "needs a server"]
fn a_server_obeys_the_laws_of_a_ledger() {
    on_runtime(async {
        let identity = |secret| Keypair::from_secret(&[secret; 32]);
        let validators = [1, 2, 3].map(|secret| identity(secret).peer()).into();
        let genesis = Genesis::new(RunId::of(b"a run on a server"), validators, 2).unwrap();
        let party = |secret: u8| {
            let log = BucketLog::new(
                bucket("ledger"),
                genesis.clone(),
                Arc::new(SystemClock),
                secret.into(),
            );
            LedgerParty { identity: identity(secret), ledger: Arc::new(log) }
        };
        let (validators, unknown) = ([1, 2, 3].map(party), [10, 11, 12].map(party));
        check_ledger_conformance(&validators, &unknown, &identity(20), None).await.unwrap();
        for listed in bucket("ledger").list(&Prefix::Ledger, None).await.unwrap() {
            bucket("ledger").delete(&listed.key).await.unwrap();
        }
    });
}
