//! Damage to a checkpoint: it is detected, reported, and the checkpoint is skipped.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use covey::system::error::Hint;
use covey::training::checkpoint::{Checkpoint, CheckpointError, Damage, newest_intact};

use crate::samples::{folder, keeping, newest_step, save_all};

fn files(checkpoint: &Path) -> Vec<PathBuf> {
    fs::read_dir(checkpoint).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Replaces all bytes of a file in place. Truncating it first makes some file systems wait for the
/// disk.
fn overwrite(file: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(file).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_flipped_bit_in_any_file_is_detected() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [40], keeping(1));
    let path = folder(run.path(), 40);
    let mut flips = 0;
    for file in files(&path) {
        let whole = fs::read(&file).unwrap();
        for byte in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[byte] ^= 1 << (byte % 8);
            overwrite(&file, &flipped);
            assert!(Checkpoint::open(&path).is_err(), "{} byte {byte}", file.display());
            flips += 1;
        }
        overwrite(&file, &whole);
    }
    Checkpoint::open(&path).unwrap();
    assert!(flips > 1000, "only {flips} bytes");
}

#[test]
fn a_flipped_bit_in_the_manifest_is_detected() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [40], keeping(1));
    let (path, file) = (folder(run.path(), 40), folder(run.path(), 40).join("manifest.json"));
    let whole = fs::read(&file).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        overwrite(&file, &flipped);
        assert!(Checkpoint::open(&path).is_err(), "bit {bit}");
    }
}

#[test]
fn the_error_names_a_file_that_is_missing_or_has_another_length() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [40], keeping(1));
    let path = folder(run.path(), 40);
    for file in files(&path) {
        let whole = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        for other in [&whole[..whole.len() - 1], &[], &[whole.as_slice(), b" "].concat()] {
            fs::write(&file, other).unwrap();
            let error = Checkpoint::open(&path).err();
            // White space at the end of the manifest changes no field, so it is not damage.
            let harmless = name == "manifest.json" && other.len() > whole.len();
            assert_eq!(error.is_none(), harmless, "{name}");
            assert!(error.is_none_or(|error| error.to_string().contains(name)), "{name}");
        }
        fs::remove_file(&file).unwrap();
        let error = Checkpoint::open(&path).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        fs::write(&file, whole).unwrap();
    }
}

#[test]
fn damaged_checkpoints_are_skipped_and_reported_newest_first() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10, 20, 30, 40], keeping(4));
    let weights = folder(run.path(), 40).join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..100]).unwrap();
    fs::remove_file(folder(run.path(), 30).join("state.json")).unwrap();

    let found = newest_intact(run.path()).unwrap().unwrap();
    assert_eq!(found.checkpoint.path(), folder(run.path(), 20));
    let [first, second] = found.skipped.as_slice() else { panic!("{:?}", found.skipped) };
    assert_eq!((&first.path, &second.path), (&folder(run.path(), 40), &folder(run.path(), 30)));
    let truncated =
        Damage::Length { file: "model.safetensors".into(), expected: whole.len() as u64, got: 100 };
    assert!(
        matches!(&first.reason, CheckpointError::Damaged { damage, .. } if *damage == truncated),
        "{}",
        first.reason
    );
    let missing = Damage::Missing { file: "state.json".into() };
    assert!(
        matches!(&second.reason, CheckpointError::Damaged { damage, .. } if *damage == missing),
        "{}",
        second.reason
    );
    assert!(first.reason.hint().is_some());
}

#[test]
fn a_run_without_intact_checkpoints_is_an_error() {
    let run = tempfile::tempdir().unwrap();
    assert!(newest_intact(run.path()).unwrap().is_none());
    save_all(run.path(), [10, 20], keeping(2));
    for step in [10, 20] {
        fs::remove_file(folder(run.path(), step).join("model.safetensors")).unwrap();
    }
    let error = newest_intact(run.path()).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::NoneIntact { damaged, .. } if damaged.len() == 2),
        "{error}"
    );
    assert!(error.to_string().contains("step-00000020"), "{error}");
    assert!(error.to_string().contains("model.safetensors is missing"), "{error}");
}

#[test]
fn a_later_format_version_is_rejected_by_its_number() {
    let run = tempfile::tempdir().unwrap();
    save_all(run.path(), [10, 20], keeping(2));
    let manifest = folder(run.path(), 20).join("manifest.json");
    fs::write(&manifest, r#"{"version": 7, "whatever": []}"#).unwrap();
    let error = Checkpoint::open(&folder(run.path(), 20)).unwrap_err();
    assert!(
        matches!(error, CheckpointError::UnknownVersion { got: 7, expected: 1, .. }),
        "{error}"
    );
    assert_eq!(newest_step(run.path()), Some(10));
}

#[test]
fn a_folder_without_a_manifest_is_not_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(matches!(error, CheckpointError::NotACheckpoint { .. }), "{error}");
}
