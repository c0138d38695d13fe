//! Which checkpoints stay.

use std::fs;

use covey::training::checkpoint::write::CheckpointWriter;
use covey::training::checkpoint::{Checkpoint, ShardedTensor};

use crate::samples::{folder, keeping, newest_step, save_all, snapshot, store};

#[test]
fn only_the_last_n_are_kept() {
    for keep in 1..=3 {
        let run = tempfile::tempdir().unwrap();
        save_all(run.path(), (1..=5).map(|count| count * 10), keeping(keep));
        let expected: Vec<_> =
            (1..=5).skip(5 - keep).map(|count| format!("step-{:08}", count * 10)).collect();
        assert_eq!(store(run.path()), expected);
        assert_eq!(newest_step(run.path()), Some(50));
    }
}

#[test]
fn what_others_put_beside_checkpoints_is_left_alone() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10], keeping(1));
    for name in ["notes.txt", "step-00000010.bak"] {
        fs::write(run.path().join("checkpoints").join(name), "mine").unwrap();
    }
    save_all(run.path(), [20], keeping(1));
    assert_eq!(store(run.path()), ["notes.txt", "step-00000010.bak", "step-00000020"]);
}

#[test]
fn leftovers_of_any_process_are_swept_when_the_writer_opens() {
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
    assert_eq!(store(run.path()), ["step-00000010"]);
}

#[test]
fn saving_the_same_step_twice_keeps_the_first_copy() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10], keeping(1));
    let written =
        || fs::metadata(folder(run.path(), 10).join("manifest.json")).unwrap().modified().unwrap();
    let before = written();
    save_all(run.path(), [10], keeping(1));
    assert_eq!(written(), before);
    assert_eq!(store(run.path()), ["step-00000010"]);
}

#[test]
fn another_state_of_the_same_step_replaces_the_first() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10], keeping(1));
    let mut other = snapshot(10);
    other.weights[0].values = ShardedTensor::from(vec![7.0; 32]);
    let mut writer = CheckpointWriter::open(run.path(), keeping(1)).unwrap();
    writer.save(other.clone()).unwrap();
    writer.wait().unwrap();
    crate::contents::assert_holds(&Checkpoint::open(&folder(run.path(), 10)).unwrap(), &other);
    assert_eq!(store(run.path()), ["step-00000010"]);
}

#[test]
fn a_damaged_checkpoint_ahead_is_replaced_when_its_step_comes() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10, 20], keeping(2));
    fs::remove_file(folder(run.path(), 20).join("state.json")).unwrap();
    save_all(run.path(), [15], keeping(2));
    assert_eq!(newest_step(run.path()), Some(15));
    save_all(run.path(), [20], keeping(2));
    assert_eq!(newest_step(run.path()), Some(20));
    assert_eq!(store(run.path()), ["step-00000015", "step-00000020"]);
}

#[test]
fn a_run_that_is_wound_back_forgets_what_came_after() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10, 20, 30], keeping(3));
    CheckpointWriter::open(run.path(), keeping(3)).unwrap().discard_after(10).unwrap();
    assert_eq!(store(run.path()), ["step-00000010"]);
}

#[test]
fn saving_reports_every_checkpoint_that_became_whole() {
    let run = tempfile::tempdir().unwrap();
    let mut writer = CheckpointWriter::open(run.path(), keeping(5)).unwrap();
    let mut whole = Vec::new();
    for step in [10, 20, 30] {
        whole.extend(writer.save(snapshot(step)).unwrap());
        whole.extend(writer.poll().unwrap());
    }
    whole.extend(writer.wait().unwrap());
    whole.extend(writer.poll().unwrap());
    assert_eq!(whole, [10, 20, 30].map(|step| folder(run.path(), step)));
}
