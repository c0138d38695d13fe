//! The windows of each slot in each round.

use std::collections::BTreeMap;

use covey_data::dataset::{Dataset, Split};
use covey_data::sampling::{Assignment, WindowSource};

use crate::fixture::opened_dataset;

const LENGTH: usize = 16;
const SAMPLES: u64 = 3;

fn assignment(dataset: &Dataset, seed: u64) -> Assignment {
    let windows = dataset.windows(Split::Train, LENGTH).unwrap();
    Assignment::new(vec![WindowSource { windows, weight: 1.0 }], seed, SAMPLES)
}

fn windows_of(assignment: &Assignment, round: u32, slot: u32) -> Vec<Vec<u32>> {
    let mut sampler = assignment.of(round, slot).unwrap();
    let draw = |_| {
        let mut tokens = Vec::new();
        sampler.draw(&mut tokens).unwrap();
        tokens
    };
    (0..SAMPLES).map(draw).collect()
}

/// The number of occurrences of each window; different windows may contain the same text.
fn counts(windows: impl Iterator<Item = Vec<u32>>) -> BTreeMap<Vec<u32>, usize> {
    let mut counts = BTreeMap::new();
    windows.for_each(|window| *counts.entry(window).or_default() += 1);
    counts
}

#[test]
fn slots_of_a_round_share_no_window() {
    let (_home, dataset) = opened_dataset();
    let windows = dataset.windows(Split::Train, LENGTH).unwrap();
    let all = counts((0..windows.count()).map(|index| {
        let mut tokens = Vec::new();
        windows.read(index, &mut tokens).unwrap();
        tokens
    }));
    let assignment = assignment(&dataset, 7);
    let slots = u32::try_from(assignment.disjoint_slots()).unwrap();
    assert!(slots > 3, "the fixture is too small for this test");
    assert!(windows.count() - u64::from(slots) * SAMPLES < SAMPLES, "more slots would fit");
    for round in 0..4 {
        let drawn = counts((0..slots).flat_map(|slot| windows_of(&assignment, round, slot)));
        assert!(
            drawn
                .iter()
                .all(|(window, count)| all.get(window).is_some_and(|available| count <= available))
        );
    }
}

#[test]
fn an_assignment_depends_on_seed_round_and_slot() {
    let (_home, dataset) = opened_dataset();
    let of = |seed, round, slot| windows_of(&assignment(&dataset, seed), round, slot);
    assert_eq!(of(1, 2, 3), of(1, 2, 3));
    assert_ne!(of(1, 2, 3), of(1, 3, 3));
    assert_ne!(of(1, 2, 3), of(2, 2, 3));
}

#[test]
fn slots_of_a_mixture_stay_within_one_epoch_of_each_source() {
    let (_home, dataset) = opened_dataset();
    let windows = |split| dataset.windows(split, 1).unwrap();
    let sources = vec![
        WindowSource { windows: windows(Split::Train), weight: 3.0 },
        WindowSource { windows: windows(Split::HeldOut), weight: 1.0 },
    ];
    let assignment = Assignment::new(sources, 1, 5);
    let slots = u32::try_from(assignment.disjoint_slots()).unwrap();
    assert!(slots > 0, "the fixture is too small for this test");
    for round in 0..20 {
        let last = assignment.of(round, slots).unwrap();
        assert!(last.cursor().sources.iter().all(|source| source.epoch == 0));
    }
}

#[test]
fn unassigned_samples_belong_to_no_slot_and_any_sample_can_be_read() {
    let (_home, dataset) = opened_dataset();
    let assignment = assignment(&dataset, 3);
    let read = |sample| {
        let mut tokens = Vec::new();
        assignment.read(2, sample, &mut tokens).unwrap();
        tokens
    };
    let slots = u32::try_from(assignment.disjoint_slots()).unwrap() - 1;
    let assigned: Vec<_> = (0..slots).flat_map(|slot| windows_of(&assignment, 2, slot)).collect();
    assert_eq!(assigned, (0..u64::from(slots) * SAMPLES).map(read).collect::<Vec<_>>());
    let unassigned = assignment.unassigned(slots);
    assert_eq!(unassigned.start, u64::from(slots) * SAMPLES);
    assert!(unassigned.end - unassigned.start >= SAMPLES);
    let all = counts(assigned.into_iter().chain(unassigned.map(read)));
    let windows = dataset.windows(Split::Train, LENGTH).unwrap();
    assert_eq!(all.values().sum::<usize>() as u64, windows.count());
    assert_eq!(assignment.unassigned(1000), 1000 * SAMPLES..1001 * SAMPLES);
}
