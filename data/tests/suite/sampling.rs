//! Windows and the order in which they are drawn.

use std::collections::BTreeSet;

use covey_data::dataset::{Dataset, Split};
use covey_data::error::DataError;
use covey_data::sampling::{Cursor, WindowSampler, WindowSource};
use proptest::prelude::*;

use crate::fixture::{message, opened_dataset};

const LENGTH: usize = 32;

fn sources(dataset: &Dataset) -> Vec<WindowSource> {
    let windows = |split| dataset.windows(split, LENGTH).unwrap();
    vec![
        WindowSource { windows: windows(Split::Train), weight: 3.0 },
        WindowSource { windows: windows(Split::HeldOut), weight: 1.0 },
    ]
}

fn draw(sampler: &mut WindowSampler, count: usize) -> Vec<u32> {
    let mut tokens = Vec::new();
    (0..count).for_each(|_| sampler.draw(&mut tokens).unwrap());
    tokens
}

#[test]
fn windows_tile_every_shard() {
    let (_home, dataset) = opened_dataset();
    let windows = dataset.windows(Split::Train, LENGTH).unwrap();
    let per_shard =
        dataset.manifest().shards_of(Split::Train).map(|shard| (shard.tokens - 1) / LENGTH as u64);
    assert_eq!(windows.count(), per_shard.sum::<u64>());
    let single = dataset.windows(Split::Train, 1).unwrap();
    let all: Vec<Vec<u32>> = (0..windows.count())
        .map(|index| {
            let mut tokens = Vec::new();
            windows.read(index, &mut tokens).unwrap();
            tokens
        })
        .collect();
    assert!(all.iter().all(|tokens| tokens.len() == LENGTH + 1));
    // The first shard, token by token.
    let shard = dataset.manifest().shards_of(Split::Train).next().unwrap();
    let count = (shard.tokens - 1) as usize / LENGTH;
    for (index, tokens) in all.iter().take(count).enumerate() {
        let mut pair = Vec::new();
        single.read((index * LENGTH) as u64, &mut pair).unwrap();
        assert_eq!(pair, tokens[..2]);
    }
    assert!(all.windows(2).take(count - 1).all(|two| two[0][LENGTH] == two[1][0]));
}

#[test]
fn every_window_occurs_once_per_epoch() {
    let (_home, dataset) = opened_dataset();
    let windows = dataset.windows(Split::Train, LENGTH).unwrap();
    let count = windows.count() as usize;
    let mut sampler =
        WindowSampler::new(vec![WindowSource { windows: windows.clone(), weight: 1.0 }], 5)
            .unwrap();
    let mut expected = Vec::new();
    (0..count).for_each(|index| windows.read(index as u64, &mut expected).unwrap());
    let sorted = |tokens: &[u32]| {
        let mut windows: Vec<_> = tokens.chunks(LENGTH + 1).map(<[u32]>::to_vec).collect();
        windows.sort();
        windows
    };
    let (first, second) = (draw(&mut sampler, count), draw(&mut sampler, count));
    assert_eq!(sorted(&first), sorted(&expected));
    assert_eq!(sorted(&second), sorted(&expected));
    assert_ne!(first, second);
    assert_ne!(first, expected);
    assert_eq!(sampler.cursor().sources[0].epoch, 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_resumed_sampler_draws_the_same_samples(
        seed: u64,
        before in 0usize..300,
        after in 1usize..50,
    ) {
        let (_home, dataset) = opened_dataset();
        let mut whole = WindowSampler::new(sources(&dataset), seed).unwrap();
        draw(&mut whole, before);
        let saved = serde_json::to_string(whole.cursor()).unwrap();
        let cursor: Cursor = serde_json::from_str(&saved).unwrap();
        let expected = draw(&mut whole, after);
        let mut resumed = WindowSampler::resume(sources(&dataset), cursor).unwrap();
        prop_assert_eq!(&draw(&mut resumed, after), &expected);
        let mut computed = WindowSampler::at(sources(&dataset), seed, before as u64).unwrap();
        prop_assert_eq!(draw(&mut computed, after), expected);
        prop_assert_eq!(computed.cursor(), whole.cursor());
    }
}

#[test]
fn sources_get_their_shares() {
    let (_home, dataset) = opened_dataset();
    let mut sampler = WindowSampler::new(sources(&dataset), 9).unwrap();
    draw(&mut sampler, 1000);
    let drawn: Vec<u64> = sampler
        .cursor()
        .sources
        .iter()
        .map(|source| source.epoch * source.windows + source.position)
        .collect();
    assert!(drawn[0].abs_diff(750) <= 3 && drawn.iter().sum::<u64>() == 1000, "{drawn:?}");
}

#[test]
fn cursors_of_other_data_are_refused() {
    let (_home, dataset) = opened_dataset();
    let cursor = WindowSampler::new(sources(&dataset), 1).unwrap().cursor().clone();
    let one = sources(&dataset).split_off(1);
    let error = WindowSampler::resume(one, cursor.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the cursor does not match the data: it has 2 sources, there are 1"
    );
    let mut swapped = sources(&dataset);
    swapped.reverse();
    assert!(matches!(
        WindowSampler::resume(swapped, cursor.clone()),
        Err(DataError::CursorMismatch { .. })
    ));
    let longer = Split::ALL
        .map(|split| WindowSource { windows: dataset.windows(split, 33).unwrap(), weight: 1.0 });
    assert!(matches!(
        WindowSampler::resume(longer.to_vec(), cursor.clone()),
        Err(DataError::CursorMismatch { .. })
    ));
    let later = serde_json::to_string(&cursor).unwrap().replace("\"version\":1", "\"version\":2");
    let later: Cursor = serde_json::from_str(&later).unwrap();
    let error = WindowSampler::resume(sources(&dataset), later).unwrap_err();
    assert!(error.to_string().ends_with("it has version 2, this program reads version 1"));
}

#[test]
fn too_long_sequences_are_refused() {
    let (home, dataset) = opened_dataset();
    let longest =
        dataset.manifest().shards_of(Split::Train).map(|shard| shard.tokens).max().unwrap();
    assert_eq!(dataset.windows(Split::Train, longest as usize - 1).unwrap().count(), 1);
    let error = dataset.windows(Split::Train, longest as usize).unwrap_err();
    let expected = format!(
        "sequences of {longest} tokens need {} in one shard, \
         the longest train shard of HOME/dataset has {longest}",
        longest + 1
    );
    assert_eq!(message(&error, home.path()), expected);
    assert_eq!(
        error.hint().unwrap(),
        format!("use sequences of at most {} tokens, or more text", longest - 1)
    );
    assert!(matches!(dataset.windows(Split::Train, 0), Err(DataError::Setting { .. })));
}

#[test]
fn windows_past_the_end_are_errors() {
    let (_home, dataset) = opened_dataset();
    let windows = dataset.windows(Split::Train, LENGTH).unwrap();
    let error = windows.read(windows.count(), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, DataError::WindowOutOfRange { .. }));
}

#[test]
fn held_out_windows_are_evenly_spaced() {
    let (_home, dataset) = opened_dataset();
    let all: Vec<_> = dataset.held_out_windows(4, u64::MAX).unwrap().map(Result::unwrap).collect();
    assert_eq!(all.len() as u64, dataset.windows(Split::HeldOut, 4).unwrap().count());
    let some: Vec<_> = dataset.held_out_windows(4, 7).unwrap().map(Result::unwrap).collect();
    assert_eq!(some.len(), 7);
    let places: BTreeSet<usize> = (0..7).map(|number| number * all.len() / 7).collect();
    assert_eq!(some, places.iter().map(|place| all[*place].clone()).collect::<Vec<_>>());
    assert_eq!(dataset.held_out_windows(4, 0).unwrap().count(), 0);
}
