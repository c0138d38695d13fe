//! Honest peers are included despite noise and other peers.

use std::collections::BTreeMap;

use covey_comms::agreement::draw::Seed;
use covey_comms::gauntlet::GauntletConfig;
use covey_comms::objects::Exclusion;
use covey_comms::primitives::PeerId;
use proptest::prelude::*;

use crate::world::{Act, World, gains, peer};

/// Random numbers from a seed.
struct Dice {
    seed: Seed,
    count: u64,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Self {
            seed: Seed::from_bytes(std::array::from_fn(|at| seed.to_le_bytes()[at % 8])),
            count: 0,
        }
    }

    fn fraction(&mut self) -> f64 {
        self.count += 1;
        self.seed.draw(&self.count.to_string(), 1, 1 << 32)[0] as f64 / 2_f64.powi(32)
    }

    fn honest(&mut self) -> Act {
        let random = 0.05 * (0.6 + 0.8 * self.fraction());
        let is_better = self.fraction() < 0.95;
        Act::Delivers(gains(random * if is_better { 1.1 } else { 0.9 }, random))
    }

    /// Peers 1 to `count` with honest deltas.
    fn honest_peers(&mut self, count: u8) -> BTreeMap<PeerId, Act> {
        (1..=count).map(|number| (peer(number), self.honest())).collect()
    }

    fn noise(&mut self) -> Act {
        let random = 0.004 * (self.fraction() - 0.5);
        Act::Delivers(gains(random * 2.0 * self.fraction(), random))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn honest_peers_are_included_from_the_first_round_on(seed: u64) {
        let mut dice = Dice::new(seed);
        let mut world = World::new(GauntletConfig::default());
        let mut out = 0;
        for round in 0..60 {
            let outcome = world.play(&dice.honest_peers(8));
            prop_assert!(round > 8 || outcome.excluded.is_empty());
            prop_assert!(outcome.penalties.is_empty());
            out += outcome.excluded.len();
        }
        prop_assert!(out <= 480 / 100, "{out} of 480 honest deltas were excluded");
        let paid: f64 = world.play(&dice.honest_peers(8)).payouts.values().sum();
        prop_assert!((paid - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_burst_of_joining_peers_earns_little_and_displaces_no_peer(seed: u64) {
        let mut dice = Dice::new(seed);
        let mut world = World::new(GauntletConfig::default());
        for _ in 0..15 {
            world.play(&dice.honest_peers(10));
        }
        for _ in 0..40 {
            let mut acts = dice.honest_peers(10);
            acts.extend((101..=130).map(|number| (peer(number), dice.noise())));
            let outcome = world.play(&acts);
            prop_assert!(outcome.included.keys().all(|included| *included <= peer(10)));
            prop_assert!(outcome.included.len() >= 9);
            let joining = outcome.payouts.iter().filter(|(paid, _)| **paid > peer(10));
            let gained: f64 = joining.map(|(_, share)| share).sum();
            prop_assert!(gained < 0.01, "{gained}");
        }
    }
}

#[test]
fn a_slow_peer_has_only_the_penalty_for_late_deltas() {
    let mut dice = Dice::new(1);
    let mut world = World::new(GauntletConfig::default());
    for round in 0..80 {
        let mut acts = dice.honest_peers(8);
        let is_late = round % 4 == 3;
        if is_late {
            acts.insert(peer(1), Act::Absent(Exclusion::Late));
        }
        let outcome = world.play(&acts);
        assert_eq!(outcome.included.contains_key(&peer(1)), !is_late, "round {round}");
        assert_eq!(outcome.penalties.len(), usize::from(is_late));
    }
    assert!(world.peer_table.get(peer(1)).unwrap().score > 0.0);
}
