//! An unreliable store only slows a run down.

use std::sync::Arc;

use covey::run::peer::RunEnd;
use covey_comms::bucket::Bucket;
use covey_comms::bucket::decorators::{FaultRates, Faulty};
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::primitives::VirtualClock;
use futures_util::future::{join, join_all};

use crate::world::{Choice, World};

const ROUNDS: u64 = 20;
const PEERS: u8 = 4;

#[test]
fn twenty_rounds_on_an_unreliable_store_end_with_the_same_bits() {
    for seed in [1, 2] {
        let clock = VirtualClock::default();
        let world = World::new(Arc::new(clock.clone()), ROUNDS, PEERS.into());
        let store: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(Arc::new(clock.clone())));
        // Each machine sees different faults.
        let view = |number: u8| -> Arc<dyn Bucket> {
            let seed = seed * 1000 + u64::from(number);
            Arc::new(Faulty::new(
                Arc::clone(&store),
                Arc::new(clock.clone()),
                FaultRates::BAD_DAY,
                seed,
            ))
        };
        let all = async {
            world.create(view(0)).await;
            join(
                world.validate(view(99)),
                join_all((1..=PEERS).map(|number| {
                    world.peer(
                        view(number),
                        Choice { number, threads: 1, micro_batch: 4, device: "cpu" },
                    )
                })),
            )
            .await
            .1
        };
        let endings = clock.run(all).expect("every task waits");
        assert_eq!(endings, [RunEnd::Finished; PEERS as usize]);
        world.assert_same_bits(&(1..=PEERS).collect::<Vec<_>>());
        let last = world.rounds_of(1).into_values().next_back().unwrap();
        assert_eq!(last.outer_steps, ROUNDS);
    }
}
