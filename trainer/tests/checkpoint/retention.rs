//! Kept, removed and set-aside checkpoints.

use std::fs;
use std::path::Path;

use covey::training::checkpoint::write::CheckpointWriter;
use covey::training::checkpoint::{Checkpoint, ShardedTensor, newest_intact};

use crate::samples::{folder, keeping, names, newest_step, save_all, snapshot};

#[test]
fn only_the_newest_checkpoints_are_kept() {
    for keep in 1..=3 {
        let run = tempfile::tempdir().unwrap();
        save_all(run.path(), (1..=5).map(|count| count * 10), keeping(keep));
        let expected: Vec<_> =
            (1..=5).skip(5 - keep).map(|count| format!("step-{:08}", count * 10)).collect();
        assert_eq!(names(run.path()), expected);
        assert_eq!(newest_step(run.path()), Some(50));
    }
}

#[test]
fn files_of_other_programs_are_not_touched() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10], keeping(1));
    for name in ["notes.txt", "step-00000010.bak"] {
        fs::write(run.path().join("checkpoints").join(name), "mine").unwrap();
    }
    save_all(run.path(), [20], keeping(1));
    assert_eq!(names(run.path()), ["notes.txt", "step-00000010.bak", "step-00000020"]);
}

#[test]
fn leftovers_of_any_process_are_removed_when_the_writer_opens() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10], keeping(2));
    for name in ["step-00000020.partial-1", "step-00000005.discarded-99"] {
        let leftover = run.path().join("checkpoints").join(name);
        fs::create_dir(&leftover).unwrap();
        fs::copy(folder(run.path(), 10).join("manifest.json"), leftover.join("manifest.json"))
            .unwrap();
    }
    assert_eq!(newest_step(run.path()), Some(10));
    CheckpointWriter::open(run.path(), keeping(2)).unwrap();
    assert_eq!(names(run.path()), ["step-00000010"]);
}

#[test]
fn saving_the_same_step_twice_keeps_the_first_copy() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10], keeping(1));
    let manifest = folder(run.path(), 10).join("manifest.json");
    let before = fs::metadata(&manifest).unwrap().modified().unwrap();
    save_all(run.path(), [10], keeping(1));
    assert_eq!(fs::metadata(&manifest).unwrap().modified().unwrap(), before);
    assert_eq!(names(run.path()), ["step-00000010"]);
}

#[test]
fn other_weights_of_the_same_step_replace_the_first() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10], keeping(1));
    let mut other = snapshot(10);
    other.weights[0].values = ShardedTensor::from(vec![7.0; 32]);
    let mut writer = CheckpointWriter::open(run.path(), keeping(1)).unwrap();
    writer.save(other.clone()).unwrap();
    writer.wait().unwrap();
    crate::contents::assert_contents(&Checkpoint::open(&folder(run.path(), 10)).unwrap(), &other);
    assert_eq!(names(run.path()), ["step-00000010"]);
}

#[test]
fn a_damaged_checkpoint_is_set_aside_when_its_step_is_saved_again() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10, 20], keeping(2));
    fs::remove_file(folder(run.path(), 20).join("state.json")).unwrap();
    save_all(run.path(), [15], keeping(2));
    assert_eq!(newest_step(run.path()), Some(15));
    save_all(run.path(), [20], keeping(2));
    assert_eq!(newest_step(run.path()), Some(20));
    let expected = ["step-00000015", "step-00000020", "step-00000020.set-aside-1"];
    assert_eq!(names(run.path()), expected);
}

#[test]
fn later_checkpoints_are_set_aside_and_stay_readable() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10, 20, 30], keeping(3));
    let mut writer = CheckpointWriter::open(run.path(), keeping(3)).unwrap();
    let kept = writer.set_aside_after(10).unwrap();
    let expected = ["step-00000010", "step-00000020.set-aside-1", "step-00000030.set-aside-1"];
    assert_eq!(names(run.path()), expected);
    assert_eq!(newest_step(run.path()), Some(10));
    for (path, step) in kept.iter().zip([20, 30]) {
        crate::contents::assert_contents(&Checkpoint::open(path).unwrap(), &snapshot(step));
    }
}

/// Makes the checkpoint of `step` unreadable and returns the bytes of the damaged file.
fn damage(run: &Path, step: u64) -> Vec<u8> {
    let weights = folder(run, step).join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    bytes.pop();
    fs::write(&weights, &bytes).unwrap();
    bytes
}

fn weights_in(run: &Path, name: &str) -> Vec<u8> {
    fs::read(run.join("checkpoints").join(name).join("model.safetensors")).unwrap()
}

#[test]
fn a_resume_keeps_the_checkpoints_that_it_cannot_read() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10, 20], keeping(2));
    let damaged = damage(run.path(), 20);
    let found = newest_intact(run.path()).unwrap().unwrap();
    let mut writer = CheckpointWriter::open(run.path(), keeping(2)).unwrap();
    writer.set_aside_after(found.checkpoint.state().step).unwrap();
    for step in [20, 30, 40] {
        writer.save(snapshot(step)).unwrap();
    }
    writer.wait().unwrap();
    let expected = ["step-00000020.set-aside-1", "step-00000030", "step-00000040"];
    assert_eq!(names(run.path()), expected);
    assert_eq!(weights_in(run.path(), "step-00000020.set-aside-1"), damaged);
}

#[test]
fn a_new_start_keeps_all_unreadable_checkpoints() {
    let run = tempfile::tempdir().unwrap();
    let mut damaged = Vec::new();
    // Twice, because the second start must not overwrite what the first one has set aside.
    for _ in 0..2 {
        save_all(run.path(), [10, 20], keeping(2));
        damaged.extend([10, 20].map(|step| damage(run.path(), step)));
        assert!(newest_intact(run.path()).is_err());
        CheckpointWriter::open(run.path(), keeping(2)).unwrap().set_aside_after(0).unwrap();
        assert!(newest_intact(run.path()).unwrap().is_none());
    }
    let kept = [(10, 1), (20, 1), (10, 2), (20, 2)]
        .map(|(step, number)| format!("step-{step:08}.set-aside-{number}"));
    assert_eq!(kept.clone().map(|name| weights_in(run.path(), &name)).as_slice(), damaged);
    assert_eq!(names(run.path()).len(), kept.len());
}

#[test]
fn pruning_keeps_unreadable_checkpoints() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10, 20], keeping(2));
    let damaged = damage(run.path(), 10);
    let newer = r#"{"version": 7}"#;
    fs::write(folder(run.path(), 20).join("manifest.json"), newer).unwrap();
    save_all(run.path(), [30, 40, 50], keeping(2));
    let set_aside = ["step-00000010.set-aside-1", "step-00000020.set-aside-1"];
    assert_eq!(names(run.path()), [set_aside, ["step-00000040", "step-00000050"]].concat());
    assert_eq!(weights_in(run.path(), set_aside[0]), damaged);
    let manifest = run.path().join("checkpoints").join(set_aside[1]).join("manifest.json");
    assert_eq!(fs::read_to_string(manifest).unwrap(), newer);
}

#[test]
fn every_completed_checkpoint_is_reported_once() {
    let run = tempfile::tempdir().unwrap();
    let mut writer = CheckpointWriter::open(run.path(), keeping(5)).unwrap();
    let mut completed = Vec::new();
    for step in [10, 20, 30] {
        completed.extend(writer.save(snapshot(step)).unwrap());
        completed.extend(writer.poll().unwrap());
    }
    completed.extend(writer.wait().unwrap());
    completed.extend(writer.poll().unwrap());
    assert_eq!(completed, [10, 20, 30].map(|step| folder(run.path(), step)));
}
