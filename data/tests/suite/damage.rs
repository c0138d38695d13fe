//! Folders that were changed after they were finished.

use std::fs;
use std::path::Path;

use covey_data::dataset::{Dataset, Split};
use covey_data::error::DataError;

use crate::fixture::{dataset, message};

const SHARD: &str = "train-00001.safetensors";

fn change(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn an_untouched_folder_verifies() {
    let (_home, folder) = dataset();
    Dataset::open(&folder).unwrap().verify().unwrap();
}

#[test]
fn truncated_shards_are_detected_on_opening() {
    let (home, folder) = dataset();
    change(&folder.join(SHARD), |bytes| bytes.truncate(bytes.len() - 3));
    let error = Dataset::open(&folder).unwrap_err();
    assert!(
        message(&error, home.path()).starts_with("shard HOME/dataset/train-00001.safetensors has ")
    );
    assert!(matches!(error, DataError::ShardLength { expected, got, .. } if got + 3 == expected));
}

#[test]
fn missing_shards_are_detected_on_opening() {
    let (home, folder) = dataset();
    fs::remove_file(folder.join(SHARD)).unwrap();
    let error = Dataset::open(&folder).unwrap_err();
    assert_eq!(
        message(&error, home.path()),
        "shard HOME/dataset/train-00001.safetensors is missing"
    );
}

#[test]
fn damaged_headers_are_detected_on_opening() {
    for edit in [
        |bytes: &mut Vec<u8>| bytes[3] = 0xff,
        |bytes: &mut Vec<u8>| bytes[8] = b'!',
        |bytes: &mut Vec<u8>| {
            let place = bytes.windows(4).position(|four| four == b"U16\"").unwrap();
            bytes[place] = b'I';
        },
    ] {
        let (_home, folder) = dataset();
        change(&folder.join(SHARD), edit);
        assert!(matches!(Dataset::open(&folder), Err(DataError::ShardInvalid { .. })));
    }
}

#[test]
fn every_flipped_bit_is_detected_by_verifying() {
    let (_home, folder) = dataset();
    let length = fs::metadata(folder.join(SHARD)).unwrap().len() as usize;
    for place in [length / 2, length - 1] {
        change(&folder.join(SHARD), |bytes| bytes[place] ^= 1);
        let dataset = Dataset::open(&folder).unwrap();
        let error = dataset.verify().unwrap_err();
        assert!(matches!(error, DataError::DigestMismatch { path, .. } if path.ends_with(SHARD)));
        change(&folder.join(SHARD), |bytes| bytes[place] ^= 1);
    }
    replace(&folder.join("tokenizer.json"), "\"version\"", "\"version\" ");
    let error = Dataset::open(&folder).unwrap().verify().unwrap_err();
    assert!(
        matches!(error, DataError::DigestMismatch { path, .. } if path.ends_with("tokenizer.json"))
    );
}

#[test]
fn tokens_outside_the_vocabulary_are_never_returned() {
    let (_home, folder) = dataset();
    let shard = "train-00000.safetensors";
    change(&folder.join(shard), |bytes| {
        let end = bytes.len() - 800;
        bytes[end..].fill(0xff);
    });
    let windows = Dataset::open(&folder).unwrap().windows(Split::Train, 16).unwrap();
    let damaged =
        (0..windows.count()).filter(|index| windows.read(*index, &mut Vec::new()).is_err()).count();
    assert!(damaged >= 400 / 16);
}

#[test]
fn manifests_that_contradict_themselves_are_refused() {
    let edits = [
        ("\"covey-dataset\"", "\"other\""),
        ("\"train-00001.safetensors\"", "\"../train-00001.safetensors\""),
        ("\"vocab_size\": 400", "\"vocab_size\": 0"),
        ("\"token_type\": \"U16\"", "\"token_type\": \"U32\""),
        ("\"end_of_text\": 0", "\"end_of_text\": 400"),
        ("\"documents\": ", "\"documents\": 1"),
        ("\"recipe\": \"", "\"recipe\": \"zz"),
    ];
    for (from, to) in edits {
        let (_home, folder) = dataset();
        replace(&folder.join("manifest.json"), from, to);
        let error = Dataset::open(&folder).unwrap_err();
        assert!(matches!(error, DataError::ManifestInvalid { .. }), "{from}: {error}");
    }
}

#[test]
fn other_versions_and_other_folders_are_reported() {
    let (home, folder) = dataset();
    replace(&folder.join("manifest.json"), "\"version\": 1", "\"version\": 7");
    let error = Dataset::open(&folder).unwrap_err();
    let expected = "HOME/dataset/manifest.json has format version 7, this program reads version 1";
    assert_eq!(message(&error, home.path()), expected);
    let error = Dataset::open(home.path()).unwrap_err();
    assert_eq!(
        message(&error, home.path()),
        "HOME is not a finished dataset: it has no manifest.json"
    );
    let error = Dataset::open(&home.path().join("nowhere")).unwrap_err();
    assert_eq!(message(&error, home.path()), "HOME/nowhere does not exist");
}
