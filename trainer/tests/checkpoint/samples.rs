//! Small snapshots, and functions that inspect checkpoint folders.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use covey::training::checkpoint::write::{CheckpointOptions, CheckpointWriter};
use covey::training::checkpoint::{
    Checkpoint, ExtraFile, NamedTensor, SavedMoments, SavedTensor, Snapshot, TrainingState,
    newest_intact,
};
use covey_optim::inner::Moments;
use serde_json::json;

use crate::faulty_disk::FaultyDisk;

/// A snapshot of a very small model after `step` steps. The values differ between steps.
pub(crate) fn snapshot(step: u64) -> Snapshot {
    let shapes = [
        ("model.embed_tokens.weight", vec![8, 4]),
        ("model.norm.weight", vec![4]),
        ("lm_head.weight", vec![8, 4]),
    ];
    let weights: Vec<NamedTensor> = shapes
        .into_iter()
        .map(|(name, shape)| NamedTensor {
            name: name.into(),
            values: numbers(&shape, step as f32),
            shape,
        })
        .collect();
    let moments = weights.iter().map(|weight| Moments {
        first: numbers(&weight.shape, step as f32 + 0.25),
        second: numbers(&weight.shape, step as f32 + 0.5),
    });
    Snapshot {
        moments: moments.map(SavedMoments::from).collect(),
        error_feedback: weights
            .iter()
            .map(|weight| numbers(&weight.shape, step as f32 + 0.75))
            .collect(),
        weights: weights.into_iter().map(SavedTensor::from).collect(),
        state: state(step),
        model_config: r#"{"model_type": "llama"}"#.into(),
        run_config: "[train]\nsteps = 40\n".into(),
        extra_files: vec![ExtraFile {
            name: "tokenizer.json".into(),
            bytes: b"{\"version\": \"1.0\"}".to_vec(),
        }],
    }
}

fn numbers(shape: &[usize], start: f32) -> Vec<f32> {
    (0..shape.iter().product::<usize>()).map(|index| start / (index as f32 + 3.0)).collect()
}

fn state(step: u64) -> TrainingState {
    TrainingState {
        step,
        optimizer_steps: step,
        tokens: step * 2048,
        seed: u64::MAX - 1,
        elapsed: Duration::from_micros(1_234_567 * step),
        cursor: json!({ "epoch": 1, "window": step * 8 }),
        schedule: json!({ "clock": step }),
    }
}

pub(crate) fn keeping(keep: usize) -> CheckpointOptions {
    CheckpointOptions { keep: NonZeroUsize::new(keep).unwrap(), ..CheckpointOptions::default() }
}

/// Saves a checkpoint of each step in order, on a disk without syncs.
pub(crate) fn save_all(
    run: &Path,
    steps: impl IntoIterator<Item = u64>,
    options: CheckpointOptions,
) {
    let mut writer =
        CheckpointWriter::open_on(Arc::new(FaultyDisk::reliable()), run, options).unwrap();
    for step in steps {
        writer.save(snapshot(step)).unwrap();
    }
    writer.wait().unwrap();
}

pub(crate) fn folder(run: &Path, step: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{step:08}"))
}

/// Names of all visible entries in the run's folder of checkpoints, sorted.
pub(crate) fn names(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// Asserts that each folder with the name of a checkpoint is complete.
pub(crate) fn assert_all_complete(run: &Path) {
    for name in names(run).iter().filter(|name| !name.contains('.')) {
        let opened = Checkpoint::open(&run.join("checkpoints").join(name));
        assert!(opened.is_ok(), "{name}: {opened:?}");
    }
}

/// The step of the newest intact checkpoint, after a check that it has the contents of its
/// snapshot.
pub(crate) fn newest_step(run: &Path) -> Option<u64> {
    let found = newest_intact(run).unwrap()?;
    let step = found.checkpoint.state().step;
    super::contents::assert_contents(&found.checkpoint, &snapshot(step));
    Some(step)
}
