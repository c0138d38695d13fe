//! After every round, all peers have the same bits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use covey::run::peer::RunEnd;
use covey_comms::bucket::location::{Access, Secret, open};
use covey_comms::bucket::server::{Server, ServerOptions};
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::bucket::{Bucket, BucketError, Listed, Put};
use covey_comms::objects::{Key, Prefix};
use covey_comms::primitives::{Clock, Keypair, Round, SystemClock, VirtualClock};
use futures_util::future::{Either, join3, join5, select};

use crate::world::{Choice, World};

const ROUNDS: u64 = 7;

pub(crate) const ONE: Choice = Choice { number: 1, threads: 1, micro_batch: 4, device: "cpu" };
pub(crate) const TWO: Choice = Choice { number: 2, threads: 2, micro_batch: 2, device: "cpu:2" };
pub(crate) const THREE: Choice = Choice { number: 3, threads: 3, micro_batch: 1, device: "cpu" };
const FOUR: Choice = Choice { number: 4, threads: 1, micro_batch: 2, device: "cpu:3" };

/// The view of a validator on a bucket in which one delta is damaged permanently.
#[derive(Debug)]
struct Damaged {
    inner: Arc<dyn Bucket>,
    key: Key,
}

#[async_trait]
impl Bucket for Damaged {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        let body = self.inner.get(key, limit).await?;
        if *key != self.key {
            return Ok(body);
        }
        let mut bytes = body.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        Ok(bytes.into())
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        self.inner.put_new(key, body).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }
}

/// Waits until `key` exists.
pub(crate) async fn until(bucket: &Arc<dyn Bucket>, clock: &Arc<dyn Clock>, key: Key) {
    while bucket.get(&key, u64::MAX).await.is_err() {
        clock.sleep_until(clock.now() + Duration::from_millis(10)).await;
    }
}

/// Four peers with different threads, devices and micro-batches. One is killed in round 2 after its
/// reveal and restarted, one joins after round 3, and the validator reads a damaged delta in round
/// 5.
async fn play(world: &World, bucket: Arc<dyn Bucket>) {
    world.create(Arc::clone(&bucket)).await;
    let fourth = Keypair::from_secret(&[FOUR.number; 32]).peer();
    let damaged: Arc<dyn Bucket> =
        Arc::new(Damaged { inner: Arc::clone(&bucket), key: Key::Delta(Round(5), fourth) });
    let killed = async {
        let victim = Keypair::from_secret(&[TWO.number; 32]).peer();
        let delivered = until(&bucket, &world.clock, Key::Delta(Round(2), victim));
        match select(Box::pin(world.peer(Arc::clone(&bucket), TWO)), Box::pin(delivered)).await {
            Either::Left(_) => panic!("the run was over before the peer could be killed"),
            Either::Right(((), peer)) => drop(peer),
        }
        world.peer(Arc::clone(&bucket), TWO).await
    };
    let late = async {
        until(&bucket, &world.clock, Key::Manifest(Round(3))).await;
        world.peer(Arc::clone(&bucket), THREE).await
    };
    let (one, four) = (world.peer(Arc::clone(&bucket), ONE), world.peer(Arc::clone(&bucket), FOUR));
    let ((), one, two, three, four) = join5(world.validate(damaged), one, killed, late, four).await;
    assert_eq!([one, two, three, four], [RunEnd::Finished; 4]);
}

fn check(world: &World) {
    world.assert_same_bits(&[1, 2, 3, 4]);
    let own = |number, round| world.rounds_of(number).get(&round).map(|report| report.own.clone());
    assert_eq!(own(2, 2).as_deref(), Some("included"), "a delta revealed before the kill counts");
    assert_eq!(own(4, 5).as_deref(), Some("damaged"));
    assert_eq!(own(4, 6).as_deref(), Some("included"));
    assert_eq!(own(3, 1), None, "a late joiner starts at a checkpoint");
    let last = world.rounds_of(1).keys().next_back().copied().unwrap();
    assert_eq!(own(3, last).as_deref(), Some("included"));
    assert_eq!(world.rounds_of(1)[&last].outer_steps, ROUNDS);
}

#[test]
fn every_peer_ends_with_the_same_bits() {
    let clock = VirtualClock::default();
    let world = World::new(Arc::new(clock.clone()), ROUNDS, 3);
    let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(Arc::new(clock.clone())));
    clock.run(play(&world, bucket)).expect("every task waits");
    check(&world);
}

/// Runs on a real server in real time.
fn play_on_server(url: &str, access: &Access) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Long enough for all peers, and short enough to wait for the deadline of the round with the
    // damaged delta.
    let world = World::with_deadline(Arc::clone(&clock), ROUNDS, 3, Duration::from_secs(15));
    let bucket = open(&url.parse().unwrap(), access, clock).unwrap();
    runtime().block_on(play(&world, bucket));
    check(&world);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
#[ignore = "needs a server"]
fn every_peer_ends_with_the_same_bits_on_another_server() {
    let url = std::env::var("COVEY_TEST_S3").expect("COVEY_TEST_S3 names a bucket");
    play_on_server(&url, &Access::from_variables(std::env::vars()).unwrap());
}

#[test]
fn every_peer_ends_with_the_same_bits_on_our_server() {
    let secret = Secret::new("a secret of this test");
    let options = ServerOptions {
        bucket: "covey".into(),
        admin: ("admin".into(), secret.clone()),
        master: secret.clone(),
        peers: None,
        validators: Default::default(),
        public_read: false,
        max_object: 1 << 24,
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::folder(folder.path(), options).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    // Ends with the process.
    std::thread::spawn(move || {
        runtime().block_on(async {
            let bound = server.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
            sender.send(bound.address()).unwrap();
            bound.serve(std::future::pending()).await;
        });
    });
    let address = receiver.recv().unwrap();
    let access = Access { keys: Some(("admin".into(), secret)), ..Access::default() };
    play_on_server(&format!("s3://covey/run?endpoint=http://{address}"), &access);
}

#[test]
fn overlap_training_keeps_the_same_bits() {
    let clock = VirtualClock::default();
    let world = World::new(Arc::new(clock.clone()), ROUNDS, 3)
        .adjusted(|config| config.rounds.overlap = true);
    let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(Arc::new(clock.clone())));
    clock.run(play(&world, bucket)).expect("every task waits");
    check(&world);
}

/// Weights after each round of a run with two peers, one of which may be killed after its reveal in
/// round 2.
fn weights_of(overlap: bool, kills: bool) -> Vec<(u32, String)> {
    let clock = VirtualClock::default();
    let world = World::new(Arc::new(clock.clone()), 4, 2)
        .adjusted(|config| config.rounds.overlap = overlap);
    let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(Arc::new(clock.clone())));
    let all = async {
        world.create(Arc::clone(&bucket)).await;
        let two = async {
            if kills {
                let victim = Keypair::from_secret(&[TWO.number; 32]).peer();
                let delivered = until(&bucket, &world.clock, Key::Delta(Round(2), victim));
                let _ = select(Box::pin(world.peer(Arc::clone(&bucket), TWO)), Box::pin(delivered))
                    .await;
            }
            world.peer(Arc::clone(&bucket), TWO).await
        };
        join3(world.validate(Arc::clone(&bucket)), world.peer(Arc::clone(&bucket), ONE), two).await
    };
    clock.run(all).unwrap();
    world.rounds_of(1).into_values().map(|report| (report.round, report.weights)).collect()
}

#[test]
fn a_kill_changes_no_bits() {
    for overlap in [false, true] {
        assert_eq!(weights_of(overlap, true), weights_of(overlap, false), "overlap {overlap}");
    }
    assert_ne!(weights_of(true, false), weights_of(false, false));
}

#[test]
fn equal_runs_end_with_equal_weights() {
    assert_eq!(weights_of(false, false), weights_of(false, false));
}
