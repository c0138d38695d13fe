//! What is saved is what is read, and what other programs read.

use std::fs;

use covey::training::checkpoint::write::{CheckpointOptions, CheckpointWriter};
use covey::training::checkpoint::{
    Checkpoint, CheckpointError, SavedMoments, SavedTensor, ShardedTensor, Snapshot, newest_intact,
    weights_digest,
};

use crate::samples::{folder, keeping, save_all, snapshot};

pub(crate) fn assert_holds(checkpoint: &Checkpoint, snapshot: &Snapshot) {
    assert_eq!(checkpoint.state(), &snapshot.state);
    assert_eq!(checkpoint.model_config(), snapshot.model_config);
    assert_eq!(checkpoint.run_config(), snapshot.run_config);
    let weights = snapshot.weights.iter().map(|weight| checkpoint.weight(&weight.name).unwrap());
    assert_eq!(
        checkpoint.weights_digest(),
        weights_digest(&weights.collect::<Vec<_>>()).to_string()
    );
    assert!(
        checkpoint.weight_names().eq(snapshot.weights.iter().map(|weight| weight.name.as_str()))
    );
    for (index, weight) in snapshot.weights.iter().enumerate() {
        assert_eq!(&SavedTensor::from(checkpoint.weight(&weight.name).unwrap()), weight);
        let moments = checkpoint.moments(&weight.name).unwrap().map(SavedMoments::from);
        assert_eq!(moments.as_ref(), snapshot.moments.get(index));
        assert_eq!(
            checkpoint.error_feedback(&weight.name).unwrap().as_ref(),
            snapshot.error_feedback.get(index)
        );
    }
    let extras: Vec<_> = checkpoint.extra_files().map(|path| fs::read(path).unwrap()).collect();
    assert!(extras.iter().eq(snapshot.extra_files.iter().map(|file| &file.bytes)));
}

#[test]
fn what_was_saved_is_read_back() {
    let run = tempfile::tempdir().unwrap();
    let mut writer = CheckpointWriter::open(run.path(), keeping(1)).unwrap();
    writer.save(snapshot(40)).unwrap();
    assert_eq!(writer.wait().unwrap(), Some(folder(run.path(), 40)));
    assert_holds(&Checkpoint::open(&folder(run.path(), 40)).unwrap(), &snapshot(40));
}

/// The same numbers in two pieces each.
fn cut_in_two(whole: &ShardedTensor) -> ShardedTensor {
    let numbers: Vec<f32> = whole.iter().flatten().copied().collect();
    let (left, right) = numbers.split_at(numbers.len() / 3);
    [left.to_vec(), right.to_vec()].into_iter().collect()
}

#[test]
fn a_checkpoint_does_not_tell_how_many_devices_wrote_it() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    save_all(one.path(), [40], keeping(1));
    let mut cut = snapshot(40);
    cut.weights.iter_mut().for_each(|weight| weight.values = cut_in_two(&weight.values));
    for moments in &mut cut.moments {
        *moments =
            SavedMoments { first: cut_in_two(&moments.first), second: cut_in_two(&moments.second) };
    }
    let mut writer = CheckpointWriter::open(two.path(), keeping(1)).unwrap();
    writer.save(cut).unwrap();
    writer.wait().unwrap();
    for file in fs::read_dir(folder(one.path(), 40)).unwrap().map(Result::unwrap) {
        let twin = folder(two.path(), 40).join(file.file_name());
        assert_eq!(
            fs::read(file.path()).unwrap(),
            fs::read(twin).unwrap(),
            "{:?}",
            file.file_name()
        );
    }
}

#[test]
fn any_part_of_a_tensor_can_be_read() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [40], keeping(1));
    let checkpoint = Checkpoint::open(&folder(run.path(), 40)).unwrap();
    let name = "lm_head.weight";
    let (weight, moments) =
        (checkpoint.weight(name).unwrap().values, checkpoint.moments(name).unwrap().unwrap());
    for range in [0..32, 0..1, 5..17, 31..32, 7..7] {
        assert_eq!(checkpoint.weight_range(name, range.clone()).unwrap(), weight[range.clone()]);
        assert_eq!(
            checkpoint.moments_range(name, range.clone()).unwrap().unwrap().second,
            moments.second[range]
        );
    }
    assert!(checkpoint.weight_range(name, 30..33).is_err());
    assert!(checkpoint.weight_range("nothing", 0..1).is_err());
}

#[test]
fn sharding_changes_files_and_nothing_else() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [40], CheckpointOptions { max_file_bytes: 150, ..keeping(1) });
    let path = folder(run.path(), 40);
    assert_holds(&Checkpoint::open(&path).unwrap(), &snapshot(40));

    let index = fs::read(path.join("model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["metadata"]["total_size"], (8 * 4 + 4 + 8 * 4) * 4);
    assert_eq!(index["weight_map"]["model.norm.weight"], "model-00001-of-00002.safetensors");
    assert_eq!(index["weight_map"]["lm_head.weight"], "model-00002-of-00002.safetensors");
    assert!(!path.join("model.safetensors").exists());
}

#[test]
fn weights_are_where_the_hub_has_them() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [40], keeping(1));
    let path = folder(run.path(), 40);
    let bytes = fs::read(path.join("model.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for weight in snapshot(40).weights {
        let tensor = file.tensor(&weight.name).unwrap();
        let expected: Vec<_> =
            weight.values.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!((tensor.shape(), tensor.data()), (weight.shape.as_slice(), expected.as_slice()));
    }
    assert!(path.join("config.json").exists() && path.join("tokenizer.json").exists());
}

#[test]
fn a_run_that_has_optimised_nothing_has_no_moments() {
    let run = tempfile::tempdir().unwrap();
    let start = Snapshot { moments: Vec::new(), error_feedback: Vec::new(), ..snapshot(0) };
    let mut writer = CheckpointWriter::open(run.path(), keeping(1)).unwrap();
    writer.save(start.clone()).unwrap();
    writer.wait().unwrap();
    let found = newest_intact(run.path()).unwrap().unwrap();
    assert_holds(&found.checkpoint, &start);
}

#[test]
fn a_tensor_of_another_network_is_named() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [40], keeping(1));
    let checkpoint = Checkpoint::open(&folder(run.path(), 40)).unwrap();
    let error = checkpoint.weight("model.layers.9.mlp.up_proj.weight").unwrap_err();
    assert!(
        matches!(&error, CheckpointError::NoSuchTensor { name, .. } if name.contains("layers.9")),
        "{error}"
    );
    assert!(checkpoint.moments("nothing").is_err());
}

#[test]
fn a_snapshot_that_contradicts_itself_is_not_saved() {
    let broken: [fn(&mut Snapshot); 6] = [
        |snapshot| snapshot.weights[0].shape = vec![8, 5],
        |snapshot| snapshot.weights[1].name = "lm_head.weight".into(),
        |snapshot| snapshot.moments.truncate(2),
        |snapshot| snapshot.moments[2].second = ShardedTensor::from(vec![0.0]),
        |snapshot| snapshot.extra_files[0].name = "../../escape".into(),
        |snapshot| snapshot.extra_files[0].name = "manifest.json".into(),
    ];
    let run = tempfile::tempdir().unwrap();
    let mut writer = CheckpointWriter::open(run.path(), keeping(1)).unwrap();
    for (index, breaks) in broken.iter().enumerate() {
        let mut snapshot = snapshot(40);
        breaks(&mut snapshot);
        writer.save(snapshot).unwrap();
        let result = writer.wait();
        assert!(
            matches!(result, Err(CheckpointError::InvalidSnapshot { step: 40, .. })),
            "{index}: {result:?}"
        );
    }
    assert!(crate::samples::store(run.path()).is_empty());
}
