//! The verdict as a document: one encoding, and no field that can be altered.

use std::collections::BTreeMap;

use covey_comms::agreement::draw::Seed;
use covey_comms::gauntlet::checks::SimilarPair;
use covey_comms::gauntlet::conduct::PeerTable;
use covey_comms::gauntlet::scoring::Age;
use covey_comms::gauntlet::verdict::{Difference, Verdict};
use covey_comms::objects::Exclusion;
use covey_comms::primitives::{PeerId, Round};
use proptest::prelude::*;
use serde_json::Value;

use crate::world::{Act, World, all, gains, peer};

/// A run of some rounds with every kind of behaviour: the world after it, the records before its
/// last round, and the last verdict.
fn eventful(seed: u8, rounds: u32) -> (World, PeerTable, Verdict) {
    let mut world = World::new(Default::default());
    let mut last = None;
    for round in 0..rounds {
        let before = world.peer_table.clone();
        let chances = Seed::from_bytes([seed; 32]).draw(&format!("round {round}"), 24, 1 << 20);
        let acts = (1..=24).map(peer).zip(chances.into_iter().map(act));
        let mut inputs = world.inputs(&acts.collect());
        (inputs.joining, inputs.unknown) = ([peer(200)].into(), [peer(201)].into());
        let admitted: Vec<PeerId> = inputs.measurements.keys().copied().collect();
        if let [one, .., other] = admitted[..] {
            inputs.earlier = [other].into();
            let overlap = SimilarPair {
                one,
                other,
                age: Age::Current,
                shared: 45,
                total: 100,
                first: Some(one),
            };
            inputs.overlaps =
                vec![overlap, SimilarPair { age: Age::Previous, first: Some(other), ..overlap }];
        }
        last = Some((before, world.judge(inputs)));
    }
    let (before, verdict) = last.unwrap();
    (world, before, verdict)
}

fn act(chance: u64) -> Act {
    let gain = (chance / 8 % 1000) as f64 / 10_000.0;
    match chance % 16 {
        0 => Act::Absent(Exclusion::Missing),
        1 => Act::Absent(Exclusion::Late),
        2 => Act::Refused(Exclusion::Malformed),
        3 => Act::Delivers(gains(-gain, -gain)),
        _ => Act::Delivers(gains(gain + 0.001, gain)),
    }
}

/// The paths of all leaves.
fn leaves(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(name, value)| leaves(value, format!("{path}/{name}"), found))
        }
        Value::Array(list) => {
            (0..list.len()).for_each(|at| leaves(&list[at], format!("{path}/{at}"), found))
        }
        _ => found.push(path),
    }
}

/// Another value of the same kind.
fn altered(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            (number.as_f64().unwrap() * 1.001 + 1e-3).into()
        }
        Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
        Value::String(text) if text == "late" => "missing".into(),
        Value::String(text) if text == "current" => "previous".into(),
        Value::String(text) if text.len() <= 8 && text.contains(['+', '-']) => {
            text.replace('+', "-").into()
        }
        Value::String(text) if text.len() == 64 => (text[1..].to_owned() + &text[..1]).into(),
        Value::Null => "0".repeat(64).into(),
        _ => "late".into(),
    }
}

#[test]
fn every_altered_leaf_is_detected() {
    let (world, before, verdict) = eventful(1, 14);
    let ours = &verdict;
    let document: Value = serde_json::from_slice(&verdict.to_bytes()).unwrap();
    let mut paths = Vec::new();
    leaves(&document, String::new(), &mut paths);
    assert!(paths.len() > 500, "{}", paths.len());
    for path in paths {
        let mut forged = document.clone();
        let leaf = forged.pointer_mut(&path).unwrap();
        let other = altered(leaf);
        if *leaf == other {
            continue;
        }
        *leaf = other;
        let Ok(forged) = Verdict::parse(&serde_json::to_vec(&forged).unwrap()) else { continue };
        let found =
            forged.compare_with(ours, 1e-4).and_then(|()| forged.check(&world.gauntlet, &before));
        assert!(found.is_err(), "{path} can be altered");
    }
}

#[test]
fn every_omitted_or_added_entry_is_detected() {
    let (world, before, verdict) = eventful(2, 14);
    let differs = |change: &dyn Fn(&mut Verdict)| {
        let mut forged = verdict.clone();
        change(&mut forged);
        assert_ne!(forged, verdict);
        forged.check(&world.gauntlet, &before).unwrap_err().path
    };
    let included = *verdict.outcome.included.keys().next().unwrap();
    let measured = *verdict.inputs.measurements.keys().next().unwrap();
    let omitted = differs(&|forged| {
        forged.outcome.included.remove(&included);
    });
    assert_eq!(omitted, format!("outcome.included.{included}"));
    let unmeasured = differs(&|forged| {
        forged.inputs.measurements.remove(&measured);
    });
    assert_eq!(unmeasured, format!("inputs.measurements.{measured}"));
    let added = differs(&|forged| {
        forged.inputs.measurements.insert(peer(99), gains(0.1, 0.1));
    });
    assert_eq!(added, format!("inputs.measurements.{}", peer(99)));
    assert_eq!(differs(&|forged| forged.inputs.unknown.extend([peer(200)])), "inputs.strangers");
    assert_eq!(differs(&|forged| forged.inputs.joining.extend([included])), "inputs.newcomers");
    assert_eq!(differs(&|forged| forged.inputs.secret = None), "inputs.secret");
    assert_eq!(differs(&|forged| forged.inputs.overlaps.reverse()), "inputs.overlaps.1");
    let without_penalties = differs(&|forged| forged.outcome.penalties.clear());
    assert_eq!(without_penalties.split('.').nth(1), Some("penalties"));
    assert_eq!(differs(&|forged| forged.inputs.outer.alpha = -1.0), "inputs.outer.alpha");
}

#[test]
fn losses_can_differ_by_the_tolerance_and_not_more() {
    let (.., verdict) = eventful(3, 3);
    let scaled = |factor: f64| {
        let mut other = verdict.clone();
        other
            .inputs
            .measurements
            .values_mut()
            .for_each(|measurement| measurement.own.after *= factor);
        verdict.compare_with(&other, 1e-4)
    };
    assert_eq!(scaled(1.0 + 0.9e-4), Ok(()));
    let Difference { path, .. } = scaled(1.0 + 1.2e-4).unwrap_err();
    assert!(path.ends_with("own.after"), "{path}");
    let none = BTreeMap::new();
    assert!(verdict.compare_measurements(&none, 1.0).is_err());
}

#[test]
fn round_zero_measures_no_peer() {
    let mut world = World::new(Default::default());
    world.round = Round::FIRST;
    let mut inputs = world.inputs(&BTreeMap::new());
    (inputs.secret, inputs.commitment_lists) = (None, BTreeMap::new());
    inputs.joining = (1..=3).map(peer).collect();
    let outcome = world.judge(inputs.clone()).outcome;
    assert_eq!(outcome.excluded.values().collect::<Vec<_>>(), [&Exclusion::Newcomer; 3]);
    assert_eq!((outcome.peer_table.len(), outcome.payouts.len()), (3, 0));
    let active =
        World::new(Default::default()).inputs(&all(1, Act::Absent(Exclusion::Late))).active;
    let mut verdict = eventful(1, 1).2;
    verdict.inputs = covey_comms::gauntlet::Observations { active, ..inputs };
    assert_eq!(
        verdict.check(&world.gauntlet, &PeerTable::default()).unwrap_err().path,
        "inputs.seated"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_verdict_survives_its_encoding_and_has_the_same_outcome(seed: u8, rounds in 1_u32..20) {
        let (world, before, verdict) = eventful(seed, rounds);
        let bytes = verdict.to_bytes();
        let read = Verdict::parse(&bytes).unwrap();
        prop_assert_eq!(&read, &verdict);
        let records = serde_json::to_vec(&before).unwrap();
        let peer_table: PeerTable = serde_json::from_slice(&records).unwrap();
        prop_assert_eq!(world.gauntlet.judge(&peer_table, &read.inputs), verdict.outcome);
    }

    #[test]
    fn damaged_verdicts_are_refused_or_canonical(
        seed: u8,
        flips in prop::collection::vec((0_usize..1 << 20, 1_u8..), 1..4),
    ) {
        let (world, before, verdict) = eventful(seed % 4, 3);
        let mut bytes = verdict.to_bytes();
        for (at, flip) in flips {
            let at = at % bytes.len();
            bytes[at] ^= flip;
        }
        if let Ok(read) = Verdict::parse(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
            let _ = read.check(&world.gauntlet, &before);
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(Verdict::parse(&bytes).is_err());
    }
}
