//! Damaged and incomplete folders: each gives an error with the place of the damage.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use covey_model::error::HubError;
use covey_model::hub::{
    Dtype, FloatDtype, HubFolder, SafetensorsFile, TensorHeader, write_safetensors,
};
use proptest::prelude::*;

use crate::fixture::{config, export_seeded, headers, model_folder, options, write_zeros};

const WEIGHTS: &str = "model.safetensors";

fn open(folder: &Path) -> HubError {
    HubFolder::open(folder).unwrap_err()
}

/// The error after the weight file is replaced by a file of zeros with changed headers.
fn open_with(change: impl FnOnce(&mut Vec<TensorHeader>)) -> HubError {
    let folder = model_folder();
    let mut tensors = headers(&config(false));
    change(&mut tensors);
    write_zeros(&folder.path().join(WEIGHTS), &tensors);
    open(folder.path())
}

#[test]
fn a_missing_tensor_is_reported_by_name() {
    let error = open_with(|tensors| drop(tensors.remove(5)));
    let name = &headers(&config(false))[5].name;
    assert!(
        matches!(&error, HubError::MissingTensor { tensor, .. } if tensor == name),
        "{error:?}"
    );
    assert!(error.hint().is_some());
    let error = open_with(|tensors| tensors.truncate(tensors.len() - 1));
    assert!(
        matches!(&error, HubError::MissingTensor { tensor, .. } if tensor == "lm_head.weight"),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("tie_word_embeddings"));
}

#[test]
fn a_wrong_shape_is_reported_with_the_expected_one() {
    let error = open_with(|tensors| tensors[0].shape = vec![41, 16]);
    let HubError::Shape { expected, got, .. } = &error else { panic!("{error:?}") };
    assert_eq!((&expected[..], &got[..]), (&[40, 16][..], &[41, 16][..]));
    assert!(error.to_string().contains("`model.embed_tokens.weight`"), "{error}");
    // The transposed shape has as many elements.
    assert!(matches!(open_with(|tensors| tensors[0].shape = vec![16, 40]), HubError::Shape { .. }));
}

#[test]
fn an_unsupported_dtype_is_reported_by_name() {
    let error = open_with(|tensors| tensors[3].dtype = Dtype::I32);
    assert!(matches!(&error, HubError::UnknownDtype { dtype, .. } if dtype == "I32"), "{error:?}");
    let folder = model_folder();
    replace_in_header(folder.path(), "F32", "Q43");
    assert!(matches!(open(folder.path()), HubError::UnknownDtype { dtype, .. } if dtype == "Q43"));
}

#[test]
fn an_unexpected_tensor_is_reported_by_name() {
    let name = "model.layers.2.mlp.up_proj.weight";
    let error = open_with(|tensors| {
        tensors.push(TensorHeader { name: name.into(), ..tensors[1].clone() });
    });
    assert!(
        matches!(&error, HubError::UnexpectedTensor { tensor, .. } if tensor == name),
        "{error:?}"
    );
}

#[test]
fn truncation_is_detected_at_any_length() {
    let folder = model_folder();
    let path = folder.path().join(WEIGHTS);
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(97).chain([7, 8, whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        let error = open(folder.path());
        let HubError::Truncated { got, expected, .. } = error else { panic!("{error:?}") };
        assert!(got == length as u64 && expected > got, "{got} of {expected} at {length}");
    }
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    assert!(matches!(open(folder.path()), HubError::Damaged { .. }));
}

#[test]
fn a_file_truncated_after_opening_gives_an_error_on_reading() {
    let folder = model_folder();
    let opened = HubFolder::open(folder.path()).unwrap();
    fs::write(folder.path().join(WEIGHTS), b"short").unwrap();
    let error = opened.read(&config(false).parameters().embedding).unwrap_err();
    assert!(matches!(error, HubError::Io { action: "read", .. }), "{error:?}");
}

#[test]
fn inconsistent_headers_are_reported_as_damage() {
    for (from, to) in [
        ("\"data_offsets\":[0,2560]", "\"data_offsets\":[4,2560]"),
        ("\"data_offsets\":[0,2560]", "\"data_offsets\":[0,2550]"),
        ("\"data_offsets\":[0,2560]", "\"data_offsets\":[9,0000]"),
        ("\"shape\":[40,16]", "\"shape\":[40,17]"),
        ("\"dtype\":\"F32\"", "\"dtype\":\"F64\""),
        ("\"dtype\":\"F32\"", "\"dtipe\":\"F32\""),
        ("{\"format\":\"pt\"}", "{\"format\":1234}"),
    ] {
        let folder = model_folder();
        replace_in_header(folder.path(), from, to);
        let error = open(folder.path());
        assert!(matches!(error, HubError::Damaged { .. }), "{to}: {error:?}");
        assert!(error.hint().is_some());
    }
    let folder = model_folder();
    fs::write(folder.path().join(WEIGHTS), u64::MAX.to_le_bytes()).unwrap();
    assert!(matches!(open(folder.path()), HubError::Damaged { .. }));
}

/// Replaces the first occurrence of `from` by `to`, which must have the same length.
fn replace_in_header(folder: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let path = folder.join(WEIGHTS);
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    fs::write(&path, bytes).unwrap();
}

#[test]
fn shards_must_contain_the_tensors_of_the_index() {
    let sharded = || {
        let folder = tempfile::tempdir().unwrap();
        export_seeded(folder.path(), &config(false), &options(FloatDtype::Fp32, 3000));
        let index = folder.path().join("model.safetensors.index.json");
        let text = fs::read_to_string(&index).unwrap();
        (folder, index, text)
    };
    let (folder, ..) = sharded();
    let shard = folder.path().join(shard_of(folder.path(), "lm_head.weight"));
    fs::remove_file(&shard).unwrap();
    assert!(
        matches!(open(folder.path()), HubError::Io { path, action: "read", .. } if path == shard)
    );

    let (folder, index, text) = sharded();
    let (own, other) = (
        shard_of(folder.path(), "lm_head.weight"),
        shard_of(folder.path(), "model.embed_tokens.weight"),
    );
    let [correct, wrong] = [&own, &other].map(|file| format!("\"lm_head.weight\": \"{file}\""));
    fs::write(&index, text.replace(&correct, &wrong)).unwrap();
    let error = open(folder.path());
    assert!(
        matches!(&error, HubError::MissingTensor { path, .. } if path.ends_with(&other)),
        "{error:?}"
    );

    for name in ["../secret.safetensors", "/etc/passwd", "..", "a/b.safetensors", ""] {
        fs::write(&index, text.replace(&own, name)).unwrap();
        assert!(matches!(open(folder.path()), HubError::Damaged { .. }), "{name}");
    }
    fs::write(&index, "{}").unwrap();
    assert!(matches!(open(folder.path()), HubError::Json { .. }));
}

fn shard_of(folder: &Path, tensor: &str) -> String {
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("model.safetensors.index.json")).unwrap())
            .unwrap();
    index["weight_map"][tensor].as_str().unwrap().to_owned()
}

#[test]
fn a_tensor_in_two_shards_is_reported_as_damage() {
    let folder = model_folder();
    fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
    let all = headers(&config(false));
    write_zeros(&folder.path().join("a.safetensors"), &all);
    write_zeros(&folder.path().join("b.safetensors"), &all[..2]);
    let index = format!(
        r#"{{"weight_map":{{"{}":"a.safetensors","{}":"b.safetensors"}}}}"#,
        all[0].name, all[1].name
    );
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    let error = open(folder.path());
    let HubError::Damaged { problem, .. } = &error else { panic!("{error:?}") };
    assert!(problem.contains("a.safetensors"), "{problem}");
}

#[test]
fn a_folder_without_config_or_weights_gives_its_own_error() {
    let folder = model_folder();
    fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
    assert!(matches!(open(folder.path()), HubError::NoWeights { .. }));
    fs::remove_file(folder.path().join("config.json")).unwrap();
    let error = open(folder.path());
    assert!(matches!(&error, HubError::Io { path, .. } if path.ends_with("config.json")));
    assert!(error.hint().unwrap().contains("config.json"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn flipped_header_bits_never_cause_a_panic(
        flips in prop::collection::vec((0usize..2500, 0u8..8), 1..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.safetensors");
        write_zeros(&path, &headers(&config(false)));
        let mut bytes = fs::read(&path).unwrap();
        flips.iter().for_each(|(place, bit)| bytes[*place] ^= 1 << bit);
        fs::write(&path, &bytes).unwrap();
        if let Ok(file) = SafetensorsFile::open(&path) {
            for name in file.tensors().keys() {
                let length = file.read_bytes(name).unwrap().len();
                prop_assert!(length <= bytes.len());
            }
        }
    }
}

/// A disk with space for this number of bytes.
struct SmallDisk(usize);

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = bytes.len().min(self.0);
        self.0 -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_gives_an_error_at_any_byte() {
    let tensors = [TensorHeader { name: "a".into(), dtype: Dtype::F32, shape: vec![3, 5] }];
    let write = |room| {
        write_safetensors(&mut SmallDisk(room), &BTreeMap::new(), &tensors, |_, sink| {
            sink.write_all(&[0; 60])
        })
    };
    let enough = (0..1000).find(|room| write(*room).is_ok()).unwrap();
    let mut whole = Vec::new();
    write_safetensors(&mut whole, &BTreeMap::new(), &tensors, |_, sink| sink.write_all(&[0; 60]))
        .unwrap();
    assert_eq!(enough, whole.len());
    assert_eq!(write(enough - 1).unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn wrong_lengths_and_repeated_names_are_invalid_input() {
    let tensor = |name: &str, shape: &[usize]| TensorHeader {
        name: name.into(),
        dtype: Dtype::F32,
        shape: shape.into(),
    };
    let kind = |tensors: &[TensorHeader], bytes: usize| {
        let written = write_safetensors(&mut io::sink(), &BTreeMap::new(), tensors, |_, sink| {
            sink.write_all(&vec![0; bytes])
        });
        written.unwrap_err().kind()
    };
    assert_eq!(kind(&[tensor("a", &[4])], 15), io::ErrorKind::InvalidInput);
    assert_eq!(kind(&[tensor("a", &[4])], 17), io::ErrorKind::InvalidInput);
    assert_eq!(kind(&[tensor("a", &[4]), tensor("a", &[4])], 16), io::ErrorKind::InvalidInput);
    assert_eq!(kind(&[tensor("a", &[usize::MAX, 2])], 16), io::ErrorKind::InvalidInput);
}

#[test]
fn the_reference_implementation_reads_written_files() {
    let folder = model_folder();
    let bytes = fs::read(folder.path().join(WEIGHTS)).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let ours = SafetensorsFile::open(folder.path().join(WEIGHTS)).unwrap();
    assert_eq!(theirs.len(), ours.tensors().len());
    for (name, view) in theirs.tensors() {
        assert_eq!(view.data(), ours.read_bytes(&name).unwrap(), "{name}");
    }
}
