//! Contents of checkpoints, as read by this program and by others.

use std::fs;

use covey::training::checkpoint::write::{CheckpointOptions, CheckpointWriter};
use covey::training::checkpoint::{
    Checkpoint, CheckpointError, SavedMoments, SavedTensor, ShardedTensor, Snapshot, newest_intact,
    weights_digest,
};

use crate::samples::{folder, keeping, save_all, snapshot};

/// Asserts that a checkpoint has the contents of `snapshot`.
pub(crate) fn assert_contents(checkpoint: &Checkpoint, snapshot: &Snapshot) {
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
fn a_saved_snapshot_is_read_back() {
    let run = tempfile::tempdir().unwrap();
    let mut writer = CheckpointWriter::open(run.path(), keeping(1)).unwrap();
    writer.save(snapshot(40)).unwrap();
    assert_eq!(writer.wait().unwrap(), Some(folder(run.path(), 40)));
    assert_contents(&Checkpoint::open(&folder(run.path(), 40)).unwrap(), &snapshot(40));
}

/// The same values in two pieces.
fn in_two_pieces(whole: &ShardedTensor) -> ShardedTensor {
    let numbers: Vec<f32> = whole.iter().flatten().copied().collect();
    let (left, right) = numbers.split_at(numbers.len() / 3);
    [left.to_vec(), right.to_vec()].into_iter().collect()
}

#[test]
fn the_bytes_of_a_checkpoint_do_not_depend_on_the_pieces() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    save_all(whole.path(), [40], keeping(1));
    let mut snapshot = snapshot(40);
    for weight in &mut snapshot.weights {
        weight.values = in_two_pieces(&weight.values);
    }
    for moments in &mut snapshot.moments {
        moments.first = in_two_pieces(&moments.first);
        moments.second = in_two_pieces(&moments.second);
    }
    let mut writer = CheckpointWriter::open(cut.path(), keeping(1)).unwrap();
    writer.save(snapshot).unwrap();
    writer.wait().unwrap();
    for file in fs::read_dir(folder(whole.path(), 40)).unwrap().map(Result::unwrap) {
        let name = file.file_name();
        let other = fs::read(folder(cut.path(), 40).join(&name)).unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), other, "{name:?}");
    }
}

#[test]
fn any_range_of_a_tensor_can_be_read() {
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
fn several_files_have_the_same_contents_as_one() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [40], CheckpointOptions { max_file_bytes: 150, ..keeping(1) });
    let path = folder(run.path(), 40);
    assert_contents(&Checkpoint::open(&path).unwrap(), &snapshot(40));

    let index = fs::read(path.join("model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["metadata"]["total_size"], (8 * 4 + 4 + 8 * 4) * 4);
    assert_eq!(index["weight_map"]["model.norm.weight"], "model-00001-of-00002.safetensors");
    assert_eq!(index["weight_map"]["lm_head.weight"], "model-00002-of-00002.safetensors");
    assert!(!path.join("model.safetensors").exists());
}

#[test]
fn the_weights_are_a_hugging_face_model() {
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
fn a_checkpoint_before_the_first_step_has_no_moments() {
    let run = tempfile::tempdir().unwrap();
    let start = Snapshot { moments: Vec::new(), error_feedback: Vec::new(), ..snapshot(0) };
    let mut writer = CheckpointWriter::open(run.path(), keeping(1)).unwrap();
    writer.save(start.clone()).unwrap();
    writer.wait().unwrap();
    let found = newest_intact(run.path()).unwrap().unwrap();
    assert_contents(&found.checkpoint, &start);
}

#[test]
fn the_error_names_a_missing_tensor() {
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
fn an_invalid_snapshot_is_not_saved() {
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
    assert!(crate::samples::names(run.path()).is_empty());
}
