//! Penalties and exclusions: reason, effect and duration.

use std::collections::BTreeMap;

use covey_comms::gauntlet::GauntletConfig;
use covey_comms::gauntlet::checks::{SimilarPair, Sketch};
use covey_comms::gauntlet::conduct::{Effect, Offence};
use covey_comms::gauntlet::scoring::Age;
use covey_comms::objects::Exclusion;
use covey_comms::primitives::{PeerId, Round};
use proptest::prelude::*;

use crate::world::{Act, GOOD, World, all, gains, peer};

fn settled() -> World {
    let mut config = GauntletConfig::default();
    config.overlap.settled = 0;
    World::new(config)
}

fn offences(world: &mut World, acts: &BTreeMap<PeerId, Act>, of: PeerId) -> Vec<(Offence, Effect)> {
    let penalties = world.play(acts).penalties;
    penalties
        .into_iter()
        .filter(|penalty| penalty.peer == of)
        .map(|penalty| (penalty.offence, penalty.effect))
        .collect()
}

#[test]
fn harmful_and_useless_deltas_are_excluded_at_once() {
    let mut world = settled();
    let mut acts = all(6, GOOD);
    acts.insert(peer(5), Act::Delivers(gains(-0.1, -0.1)));
    acts.insert(peer(6), Act::Delivers(gains(0.002, 0.001)));
    let outcome = world.play(&acts);
    assert_eq!(outcome.included.len(), 4);
    assert_eq!(
        outcome.excluded,
        [(peer(5), Exclusion::Harmful), (peer(6), Exclusion::Judged)].into()
    );
}

#[test]
fn a_delta_with_a_loss_of_nan_is_refused_and_costs_the_score() {
    let mut world = settled();
    world.play_often(15, &all(4, GOOD));
    let mut acts = all(4, GOOD);
    acts.insert(peer(2), Act::Delivers(gains(f64::NAN, 0.1)));
    let outcome = world.play(&acts);
    assert_eq!(outcome.excluded[&peer(2)], Exclusion::NotFinite);
    assert_eq!(outcome.peer_table.get(peer(2)).unwrap().score, 0.0);
    assert_eq!(
        (outcome.penalties[0].offence, outcome.penalties[0].effect),
        (Offence::Invalid, Effect::Cut(0.0))
    );
}

#[test]
fn penalties_last_beyond_the_next_evaluation() {
    let mut world = settled();
    world.play_often(30, &all(4, GOOD));
    let mut acts = all(4, GOOD);
    acts.insert(peer(1), Act::Absent(Exclusion::Late));
    assert_eq!(offences(&mut world, &acts, peer(1)), [(Offence::Undelivered, Effect::Cut(0.75))]);
    world.play(&all(4, GOOD));
    let after = world.peer_table.get(peer(1)).unwrap();
    assert_eq!(after.trust, 0.95 * 0.75 + (1.0 - 0.95));
    assert!(world.peer_table.get(peer(2)).unwrap().score > after.score);
}

#[test]
fn repeated_failures_lead_to_a_ban_and_each_ban_is_twice_as_long() {
    let mut world = settled();
    world.play_often(15, &all(4, GOOD));
    let mut acts = all(4, GOOD);
    acts.insert(peer(1), Act::Absent(Exclusion::Withheld));
    let cuts = [0.75, 0.5, 0.0].map(|factor| vec![(Offence::Undelivered, Effect::Cut(factor))]);
    assert_eq!([(); 3].map(|()| offences(&mut world, &acts, peer(1))), cuts);
    let until = Round(world.round.0 + 21);
    let last = offences(&mut world, &acts, peer(1));
    assert_eq!(last[1], (Offence::Unreliable, Effect::BannedUntil(until)));
    for _ in 0..20 {
        let outcome = world.play(&all(4, GOOD));
        assert_eq!(outcome.excluded, [(peer(1), Exclusion::Banned)].into());
    }
    assert!(
        world.play(&all(4, GOOD)).excluded.is_empty(),
        "after the ban, the peer starts as a new one"
    );
    let mut last = Vec::new();
    (0..4).for_each(|_| last = offences(&mut world, &acts, peer(1)));
    assert_eq!(last[1], (Offence::Unreliable, Effect::BannedUntil(Round(world.round.0 + 40))));
}

#[test]
fn each_missed_round_reduces_trust_and_the_fourth_resets_the_record() {
    let mut world = settled();
    world.play_often(15, &all(4, GOOD));
    let mut acts = all(4, GOOD);
    acts.insert(peer(1), Act::Absent(Exclusion::Missing));
    let effects: Vec<_> = (0..4)
        .flat_map(|_| offences(&mut world, &acts, peer(1)))
        .map(|(_, effect)| effect)
        .collect();
    assert_eq!(effects, [Effect::Cut(0.75), Effect::Cut(0.75), Effect::Cut(0.75), Effect::Reset]);
    assert_eq!(world.peer_table.get(peer(1)).unwrap().evaluations, 0);
    assert!(world.play(&all(4, GOOD)).included.contains_key(&peer(1)));
}

#[test]
fn an_outage_is_not_penalised() {
    let mut world = settled();
    world.play_often(15, &all(5, GOOD));
    let before = world.peer_table.get(peer(1)).unwrap().score;
    let mut acts = all(5, Act::Absent(Exclusion::Late));
    acts.insert(peer(5), GOOD);
    let outcome = world.play(&acts);
    assert!(outcome.penalties.is_empty());
    assert_eq!(outcome.peer_table.get(peer(1)).unwrap().score, before);
}

#[test]
fn a_peer_that_trains_on_other_data_is_excluded_after_probation() {
    let mut world = settled();
    for round in 0..20 {
        let mut acts = all(4, GOOD);
        let luck = if round % 2 == 0 { 0.05 } else { 0.03 };
        acts.insert(peer(4), Act::Delivers(gains(luck, 0.04)));
        let outcome = world.play(&acts);
        assert_eq!(outcome.included.contains_key(&peer(4)), round < 9, "round {round}");
        assert!((1..4).all(|number| outcome.included.contains_key(&peer(number))));
    }
    assert_eq!(world.peer_table.get(peer(4)).unwrap().score, 0.0);
}

fn copy(first: Option<PeerId>, shared: u64, age: Age) -> SimilarPair {
    SimilarPair { one: peer(1), other: peer(2), age, shared, total: 100, first }
}

fn excluded_for(overlap: SimilarPair) -> BTreeMap<PeerId, Exclusion> {
    let mut world = settled();
    let mut inputs = world.inputs(&all(4, GOOD));
    inputs.earlier = (1..5).map(peer).collect();
    inputs.overlaps = vec![overlap];
    world.judge(inputs).outcome.excluded
}

#[test]
fn the_later_of_two_similar_deltas_is_excluded() {
    let out = |number| BTreeMap::from([(peer(number), Exclusion::Copied)]);
    assert_eq!(excluded_for(copy(Some(peer(2)), 45, Age::Current)), out(1));
    assert_eq!(excluded_for(copy(Some(peer(1)), 45, Age::Current)), out(2));
    assert_eq!(excluded_for(copy(Some(peer(2)), 100, Age::Previous)), out(1));
    let both = excluded_for(copy(None, 60, Age::Current));
    assert_eq!(both.len(), 2, "both pass the own-data test");
}

#[test]
fn without_an_order_the_copy_is_the_delta_that_fails_the_own_data_test() {
    let mut world = settled();
    let mut acts = all(4, GOOD);
    acts.insert(peer(1), Act::Delivers(gains(0.03, 0.04)));
    let mut inputs = world.inputs(&acts);
    inputs.overlaps = vec![copy(None, 99, Age::Current)];
    assert_eq!(world.judge(inputs).outcome.excluded, [(peer(1), Exclusion::Copied)].into());
}

#[test]
fn higher_levels_of_similarity_have_stronger_penalties() {
    let effects = [45, 55, 65].map(|shared| {
        let mut world = settled();
        world.play_often(15, &all(4, GOOD));
        let mut inputs = world.inputs(&all(4, GOOD));
        inputs.overlaps = vec![copy(Some(peer(2)), shared, Age::Current)];
        let penalties = world.judge(inputs).outcome.penalties;
        assert_eq!((penalties.len(), penalties[0].peer), (1, peer(1)));
        (penalties[0].offence, penalties[0].effect)
    });
    let ban = Effect::BannedUntil(Round(16 + 21));
    let expected = [
        (Offence::Similar, Effect::Cut(0.5)),
        (Offence::Copied, Effect::Reset),
        (Offence::Plagiarised, ban),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn in_the_first_rounds_only_a_verbatim_delta_is_a_copy() {
    for (shared, is_out) in [(80, false), (95, true)] {
        let mut world = World::new(GauntletConfig::default());
        let mut inputs = world.inputs(&all(4, GOOD));
        inputs.overlaps = vec![copy(Some(peer(2)), shared, Age::Current)];
        assert_eq!(world.judge(inputs).outcome.excluded.contains_key(&peer(1)), is_out);
    }
}

#[test]
fn deltas_with_a_norm_far_from_the_median_are_outsized() {
    let world = settled();
    let mut norms: BTreeMap<PeerId, f64> =
        (1..8).map(|number| (peer(number), 1.0 + f64::from(number) / 10.0)).collect();
    assert!(world.gauntlet.outsized(&world.peer_table, &norms).is_empty());
    for (number, norm) in [(8, 140.0), (9, 0.0014), (10, f64::NAN), (11, 0.0)] {
        norms.insert(peer(number), norm);
    }
    assert_eq!(world.gauntlet.outsized(&world.peer_table, &norms), (8..12).map(peer).collect());
    let two = [(peer(1), 1.0), (peer(2), 100.0)].into();
    assert!(world.gauntlet.outsized(&world.peer_table, &two).is_empty());
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let chunk = prop::collection::btree_set(0_u32..64, 8);
    prop::collection::vec(chunk, 4).prop_map(|chunks| {
        Sketch::new(chunks.into_iter().map(|chunk| chunk.into_iter().collect()).collect())
    })
}

proptest! {
    #[test]
    fn overlaps_count_common_positions_and_ascend(
        sketches in prop::collection::vec(sketch(), 1..6),
    ) {
        let mut config = GauntletConfig::default();
        config.overlap.high = 0.1;
        let gauntlet = World::new(config).gauntlet;
        let named: BTreeMap<PeerId, Sketch> = (1..).map(peer).zip(sketches).collect();
        let overlaps = gauntlet.overlaps(&named, &named, |one, _| Some(one));
        let place = |overlap: &SimilarPair| (overlap.one, overlap.other, overlap.age);
        prop_assert!(overlaps.is_sorted_by(|one, other| place(one) < place(other)));
        for overlap in &overlaps {
            let chunks = |peer: PeerId| named[&peer].chunks().iter();
            let pairs = chunks(overlap.one).zip(chunks(overlap.other));
            let shared: usize = pairs
                .map(|(one, other)| one.iter().filter(|place| other.contains(place)).count())
                .sum();
            prop_assert_eq!((overlap.shared, overlap.total), (shared as u64, 32));
        }
        let num_with_itself = overlaps
            .iter()
            .filter(|overlap| overlap.one == overlap.other && overlap.age == Age::Previous)
            .count();
        prop_assert_eq!(num_with_itself, named.len());
    }
}
