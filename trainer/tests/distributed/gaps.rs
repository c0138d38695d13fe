//! A peer that misses deltas continues from a checkpoint, and a validator publishes a missing
//! checkpoint.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use covey::run::peer::RunEnd;
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::bucket::{Bucket, BucketError, Listed, Put};
use covey_comms::objects::{Key, Prefix};
use covey_comms::primitives::{Keypair, Round, VirtualClock};
use futures_util::future::{Either, join, join4, select};

use crate::same_bits::{ONE, THREE, TWO, until};
use crate::world::World;

/// A bucket in which the write of one key never returns.
#[derive(Debug)]
struct Stuck {
    inner: Arc<dyn Bucket>,
    key: Key,
}

#[async_trait]
impl Bucket for Stuck {
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, BucketError> {
        self.inner.get(key, limit).await
    }

    async fn put_new(&self, key: &Key, body: Bytes) -> Result<Put, BucketError> {
        if *key == self.key {
            std::future::pending::<()>().await;
        }
        self.inner.put_new(key, body).await
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Vec<Listed>, BucketError> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.inner.delete(key).await
    }
}

fn memory(clock: &VirtualClock) -> Arc<dyn Bucket> {
    Arc::new(MemoryBucket::new(Arc::new(clock.clone())))
}

#[test]
fn a_peer_skips_rounds_with_missing_deltas() {
    let clock = VirtualClock::default();
    let world = World::with_deadline(Arc::new(clock.clone()), 7, 3, Duration::from_secs(15));
    let world = world.adjusted(|config| config.rounds.keep_checkpoints = 1);
    let bucket = memory(&clock);
    let absent = async {
        let victim = Keypair::from_secret(&[TWO.number; 32]).peer();
        let delivered = until(&bucket, &world.clock, Key::Delta(Round(2), victim));
        match select(Box::pin(world.peer(Arc::clone(&bucket), TWO)), Box::pin(delivered)).await {
            Either::Left(_) => panic!("the run was over before the peer could be killed"),
            Either::Right(((), peer)) => drop(peer),
        }
        until(&bucket, &world.clock, Key::CheckpointDescription(Round(6))).await;
        world.peer(Arc::clone(&bucket), TWO).await
    };
    let all = async {
        world.create(Arc::clone(&bucket)).await;
        let others = [ONE, THREE].map(|choice| world.peer(Arc::clone(&bucket), choice));
        let [one, three] = others;
        join4(world.validate(Arc::clone(&bucket)), one, absent, three).await
    };
    let ((), one, two, three) = clock.run(all).expect("every task waits");
    assert_eq!([one, two, three], [RunEnd::Finished; 3]);
    world.assert_same_bits(&[1, 2, 3]);
    let rounds: Vec<_> = world.rounds_of(TWO.number).into_keys().collect();
    assert_eq!(rounds, [0, 1, 5, 6, 7], "a checkpoint has the weights after the round before it");
}

#[test]
fn a_peer_continues_if_it_cannot_reach_the_bucket_of_another() {
    let clock = VirtualClock::default();
    let world = World::new(Arc::new(clock.clone()), 4, 3).with_own_bucket(
        THREE.number,
        memory(&clock),
        TWO.number,
    );
    let world = world.adjusted(|config| config.rounds.checkpoint_every = 1);
    let bucket = memory(&clock);
    let all = async {
        world.create(Arc::clone(&bucket)).await;
        let [one, two, three] =
            [ONE, TWO, THREE].map(|choice| world.peer(Arc::clone(&bucket), choice));
        join4(world.validate(Arc::clone(&bucket)), one, two, three).await
    };
    let ((), one, two, three) = clock.run(all).expect("every task waits");
    assert_eq!([one, two, three], [RunEnd::Finished; 3]);
    world.assert_same_bits(&[1, 2, 3]);
    let included: Vec<_> = world
        .rounds_of(TWO.number)
        .into_values()
        .map(|round| (round.round, round.included))
        .collect();
    assert_eq!(included, [(0, 0), (1, 3), (2, 3), (3, 3), (4, 3)]);
}

#[test]
fn a_restarted_validator_publishes_a_missing_checkpoint() {
    let clock = VirtualClock::default();
    let world = World::new(Arc::new(clock.clone()), 3, 2)
        .adjusted(|config| config.rounds.checkpoint_every = 100);
    let bucket = memory(&clock);
    let last = Key::CheckpointDescription(Round(4));
    let stuck: Arc<dyn Bucket> = Arc::new(Stuck { inner: Arc::clone(&bucket), key: last });
    let killed = async {
        let decided = until(&bucket, &world.clock, Key::Manifest(Round(3)));
        match select(Box::pin(world.validate(stuck)), Box::pin(decided)).await {
            Either::Left(_) => panic!("the write of the last checkpoint returned"),
            Either::Right(((), coordinator)) => drop(coordinator),
        }
    };
    let all = async {
        world.create(Arc::clone(&bucket)).await;
        let [one, two] = [ONE, TWO].map(|choice| world.peer(Arc::clone(&bucket), choice));
        join(killed, join(one, two)).await;
        assert!(bucket.get(&last, u64::MAX).await.is_err());
        world.validate(Arc::clone(&bucket)).await;
        assert!(bucket.get(&last, u64::MAX).await.is_ok());
        // The new peer checks the checkpoint against the history, and loads its weights.
        world.peer(Arc::clone(&bucket), THREE).await
    };
    assert_eq!(clock.run(all), Some(RunEnd::Finished));
}
