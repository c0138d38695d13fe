//! Batches from the background thread.

use std::fs;

use covey_data::dataset::{Dataset, Split};
use covey_data::error::DataError;
use covey_data::sampling::{PrefetchLoader, WindowSampler, WindowSource};

use crate::fixture::{dataset, opened_dataset};

fn sampler(dataset: &Dataset) -> WindowSampler {
    WindowSampler::new(
        vec![WindowSource { windows: dataset.windows(Split::Train, 16).unwrap(), weight: 1.0 }],
        2,
    )
    .unwrap()
}

#[test]
fn batches_are_the_samples_in_order() {
    let (_home, dataset) = opened_dataset();
    let mut direct = sampler(&dataset);
    let mut loader = PrefetchLoader::start(sampler(&dataset), 3, 2).unwrap();
    for _ in 0..10 {
        let batch = loader.next_batch().unwrap();
        let mut expected = Vec::new();
        (0..3).for_each(|_| direct.draw(&mut expected).unwrap());
        assert_eq!((batch.tokens, batch.rows, batch.length), (expected, 3, 16));
        assert_eq!(&batch.cursor, direct.cursor());
    }
}

#[test]
fn a_loader_resumed_after_any_batch_gives_the_next_one() {
    let (_home, dataset) = opened_dataset();
    let mut loader = PrefetchLoader::start(sampler(&dataset), 4, 3).unwrap();
    let batches: Vec<_> = (0..30).map(|_| loader.next_batch().unwrap()).collect();
    for (index, batch) in batches.iter().enumerate().take(29) {
        let sources =
            vec![WindowSource { windows: dataset.windows(Split::Train, 16).unwrap(), weight: 1.0 }];
        let resumed = WindowSampler::resume(sources, batch.cursor.clone()).unwrap();
        assert_eq!(
            PrefetchLoader::start(resumed, 4, 0).unwrap().next_batch().unwrap(),
            batches[index + 1]
        );
    }
}

#[test]
fn dropping_ends_the_thread() {
    let (_home, dataset) = opened_dataset();
    for ahead in [0, 1, 8] {
        let mut loader = PrefetchLoader::start(sampler(&dataset), 2, ahead).unwrap();
        loader.next_batch().unwrap();
        // This would block forever if the thread did not notice it.
        drop(loader);
        drop(PrefetchLoader::start(sampler(&dataset), 2, ahead).unwrap());
    }
}

#[test]
fn an_error_is_delivered_and_ends_the_loader() {
    let (_home, folder) = dataset();
    let dataset = Dataset::open(&folder).unwrap();
    let shards: Vec<_> =
        dataset.manifest().shards_of(Split::Train).map(|shard| folder.join(&shard.file)).collect();
    let sampler = sampler(&dataset);
    for shard in shards {
        fs::OpenOptions::new().write(true).open(shard).unwrap().set_len(300).unwrap();
    }
    let mut loader = PrefetchLoader::start(sampler, 8, 2).unwrap();
    assert!(matches!(loader.next_batch(), Err(DataError::Read { .. })));
    assert!(matches!(loader.next_batch(), Err(DataError::LoaderStopped)));
}

#[test]
fn a_batch_without_rows_is_refused() {
    let (_home, dataset) = opened_dataset();
    assert!(matches!(
        PrefetchLoader::start(sampler(&dataset), 0, 1),
        Err(DataError::Setting { .. })
    ));
}
