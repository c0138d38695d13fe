//! Failures while saving: the previous checkpoint survives all of them.

use std::path::Path;
use std::sync::Arc;

use covey::system::error::Hint;
use covey::training::checkpoint::CheckpointError;
use covey::training::checkpoint::write::{CheckpointOptions, CheckpointWriter};

use crate::faulty_disk::{Fault, FaultyDisk};
use crate::samples::{assert_all_complete, keeping, names, newest_step, save_all, snapshot};

/// Saves step 30 after steps 10 and 20, on a disk that fails at operation `fails_at`.
///
/// Returns `None` if the save needs fewer operations.
fn save_with_fault(
    run: &Path,
    fault: Fault,
    fails_at: usize,
    options: CheckpointOptions,
) -> Option<CheckpointError> {
    save_all(run, [10, 20], options);
    let disk = FaultyDisk::new(fault, fails_at);
    let result =
        CheckpointWriter::open_on(Arc::new(disk.clone()), run, options).and_then(|mut writer| {
            writer.save(snapshot(30))?;
            writer.wait()
        });
    assert_eq!(result.is_err(), disk.has_failed(), "operation {fails_at}: {result:?}");
    result.err()
}

/// Calls `check` for each operation of a save until it returns false, and returns the number of
/// operations.
fn for_each_operation(mut check: impl FnMut(usize, &Path) -> bool) -> usize {
    (0..)
        .take_while(|fails_at| {
            let run = tempfile::tempdir().unwrap();
            check(*fails_at, run.path())
        })
        .count()
}

#[test]
fn a_crash_at_any_operation_leaves_the_previous_checkpoint_intact() {
    for (keep, kept) in
        [(1, ["step-00000030"].as_slice()), (2, &["step-00000020", "step-00000030"])]
    {
        let mut newest = Vec::new();
        let crashes = for_each_operation(|fails_at, run| {
            let failed = save_with_fault(run, Fault::Crash, fails_at, keeping(keep)).is_some();
            newest.push(newest_step(run).expect("one checkpoint is always intact"));
            assert_all_complete(run);

            // The next process removes leftovers and saves normally.
            save_all(run, [30], keeping(keep));
            assert_eq!(names(run), kept, "crash at operation {fails_at}");
            assert_eq!(newest_step(run), Some(30));
            failed
        });
        assert!(crashes > 50, "only {crashes} operations");
        // The newest step changes once, at the rename.
        assert!(
            newest.is_sorted() && newest.first() == Some(&20) && newest.last() == Some(&30),
            "{newest:?}"
        );
    }
}

#[test]
fn a_crash_while_a_damaged_checkpoint_is_replaced_keeps_the_others() {
    for_each_operation(|fails_at, run| {
        save_all(run, [30], keeping(2));
        std::fs::remove_file(run.join("checkpoints/step-00000030/run.toml")).unwrap();
        let failed = save_with_fault(run, Fault::Crash, fails_at, keeping(2)).is_some();
        assert!(newest_step(run) >= Some(20), "crash at operation {fails_at}");
        let folder = run.join("checkpoints/step-00000030");
        let set_aside = folder.with_extension("set-aside-1");
        let damaged = if set_aside.exists() { set_aside } else { folder };
        assert!(damaged.is_dir() && !damaged.join("run.toml").exists(), "{fails_at}");
        failed
    });
}

#[test]
fn a_full_disk_is_reported_and_leaves_no_files() {
    let failures = for_each_operation(|fails_at, run| {
        let Some(error) = save_with_fault(run, Fault::Full, fails_at, keeping(1)) else {
            return false;
        };
        assert!(matches!(error, CheckpointError::NoSpace { .. }), "{error}");
        assert!(error.to_string().starts_with("no space left on device while writing "), "{error}");
        assert!(error.hint().unwrap().contains("free some space"));
        assert_eq!(names(run), ["step-00000020"], "full at operation {fails_at}");
        true
    });
    assert!(failures > 50, "only {failures} operations");
}

#[test]
fn a_single_failed_operation_keeps_the_previous_checkpoint() {
    for_each_operation(|fails_at, run| {
        let failed = save_with_fault(run, Fault::Once, fails_at, keeping(1)).is_some();
        assert_all_complete(run);
        assert!(newest_step(run) >= Some(20), "failure of operation {fails_at}");
        failed
    });
}

#[test]
fn a_background_error_is_returned_once_by_the_next_call() {
    let run = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new(Fault::Once, 5);
    let mut writer = CheckpointWriter::open_on(Arc::new(disk), run.path(), keeping(1)).unwrap();
    writer.save(snapshot(10)).unwrap();
    assert!(writer.save(snapshot(20)).is_err());
    assert!(writer.wait().unwrap().is_none());
    writer.save(snapshot(20)).unwrap();
    assert!(writer.wait().unwrap().is_some());
    assert_eq!(newest_step(run.path()), Some(20));
}

#[test]
fn the_error_names_a_folder_that_cannot_be_written() {
    let parent = tempfile::tempdir().unwrap();
    let run = parent.path().join("a-file");
    std::fs::write(&run, "in the way").unwrap();
    let error = CheckpointWriter::open(&run, keeping(1)).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::Io { path, .. } if path.starts_with(&run)),
        "{error:?}"
    );
    assert!(error.to_string().starts_with("cannot create "), "{error}");
    assert!(error.hint().unwrap().contains("--output"));
}

#[test]
fn a_run_has_one_writer_at_a_time() {
    let run = tempfile::tempdir().unwrap();
    let first = CheckpointWriter::open(run.path(), keeping(1)).unwrap();
    let second = CheckpointWriter::open(run.path(), keeping(1));
    assert!(matches!(second, Err(CheckpointError::InUse { .. })), "{second:?}");
    drop(first);
    CheckpointWriter::open(run.path(), keeping(1)).unwrap();
}
