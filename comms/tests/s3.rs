//! The contract on a real S3 server.
//!
//! `COVEY_TEST_S3=s3://bucket/prefix?endpoint=http://host:port cargo test --release -p covey-comms --test s3 -- --ignored`,
//! with keys in the usual `AWS_*` variables. The bucket must exist and its prefix be empty.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::sync::Arc;

use bytes::Bytes;
use covey_comms::{
    Access, Bucket, BucketError, Clock, Creation, Digest, Key, Location, Prefix, Put, Retry, RetryPolicy, Round,
    Secret, StoreBucket, SystemClock, check_conformance, open, probe, skew,
};

fn location() -> Location {
    std::env::var("COVEY_TEST_S3").expect("COVEY_TEST_S3 names a bucket").parse().unwrap()
}

fn access() -> Access {
    Access::from_variables(std::env::vars()).unwrap()
}

fn bucket() -> Arc<dyn Bucket> {
    let clock = Arc::new(SystemClock);
    Arc::new(Retry::new(open(&location(), &access(), clock.clone()).unwrap(), clock, RetryPolicy::default(), 1))
}

fn on_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
#[ignore = "needs a server"]
fn a_server_keeps_the_contract() {
    on_runtime(async {
        let bucket = bucket();
        let nonce = Digest::of(format!("{:?}", std::time::SystemTime::now()).as_bytes());
        let probe = probe(bucket.as_ref(), nonce).await.unwrap();
        assert_eq!(probe.creation, Creation::Honoured);
        skew(SystemClock.now(), probe.store_time.unwrap()).unwrap();
        check_conformance(bucket.as_ref()).await.unwrap();
    });
}

#[test]
#[ignore = "needs a server"]
fn long_listings_are_complete() {
    on_runtime(async {
        let bucket = bucket();
        let keys: Vec<_> = (0..1100).map(|round| Key::CheckpointDescription(Round(round))).collect();
        for some in keys.chunks(50) {
            let puts = some.iter().map(|key| bucket.put_new(key, Bytes::from_static(b"x")));
            let puts = futures_util::future::try_join_all(puts).await.unwrap();
            assert!(puts.into_iter().all(Put::is_stored));
        }
        let listed = bucket.list(&Prefix::Checkpoints, Some(&keys[99])).await.unwrap();
        let removals = keys.iter().map(|key| bucket.delete(key));
        futures_util::future::try_join_all(removals).await.unwrap();
        assert_eq!(listed.into_iter().map(|listed| listed.key).collect::<Vec<_>>(), keys[100..]);
    });
}

#[test]
#[ignore = "needs a server that checks signatures"]
fn a_wrong_secret_is_denied() {
    let Location::S3 { bucket, prefix, endpoint, region } = location() else { panic!("not S3") };
    let keys = access().keys.map(|(id, _)| (id, Secret::new("wrong")));
    let bucket = StoreBucket::s3(&bucket, &prefix, &Access { endpoint, region, keys, ..Access::default() }).unwrap();
    let error = on_runtime(bucket.get(&Key::RunDescription, 10)).unwrap_err();
    assert!(matches!(error, BucketError::Denied { .. }), "{error:?}");
}

#[test]
#[ignore = "needs a server"]
fn a_bucket_that_is_not_there_is_missing() {
    let Location::S3 { prefix, endpoint, region, .. } = location() else { panic!("not S3") };
    let access = Access { endpoint, region, ..access() };
    let bucket = StoreBucket::s3("never-made-bucket", &prefix, &access).unwrap();
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
#[ignore = "needs a server that lets the public read and not write"]
fn a_public_bucket_is_read_without_keys() {
    let Location::S3 { bucket: name, prefix, endpoint, region } = location() else { panic!("not S3") };
    let public = StoreBucket::s3(&name, &prefix, &Access { endpoint, region, ..Access::default() }).unwrap();
    on_runtime(async {
        let (owned, key) = (bucket(), Key::Manifest(Round(42)));
        assert!(owned.put_new(&key, Bytes::from_static(b"open")).await.unwrap().is_stored());
        assert_eq!(public.get(&key, 10).await.unwrap(), "open");
        assert_eq!(probe(&public, Digest::of(b"public")).await.unwrap().creation, Creation::ReadOnly);
        owned.delete(&key).await.unwrap();
    });
}
