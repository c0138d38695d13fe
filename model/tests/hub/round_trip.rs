//! Import of exported folders, to the bit.

use std::borrow::Cow;
use std::{fs, io};

use covey_model::config::ModelConfig;
use covey_model::error::HubError;
use covey_model::hub::{FloatDtype, HubFolder, SafetensorsFile, export};
use covey_model::init::Initializer;

use crate::fixture::{
    config, contents, export_seeded, headers, model_folder, options, write_zeros,
};

#[test]
fn a_second_export_after_import_is_byte_equal() {
    for format in FloatDtype::ALL {
        for (tied, max_shard_bytes) in
            [(false, u64::MAX), (true, u64::MAX), (false, 3000), (true, 1)]
        {
            let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (config, options) = (config(tied), options(format, max_shard_bytes));
            export_seeded(first.path(), &config, &options);
            let folder = HubFolder::open(first.path()).unwrap();
            assert_eq!(folder.config().model, config);
            assert_eq!(folder.config().token_ids, options.token_ids);
            export(second.path(), &folder.config().model, &options, |spec| {
                Ok(folder.read(spec).unwrap().into())
            })
            .unwrap();
            assert!(
                contents(first.path()) == contents(second.path()),
                "{format:?}, tied {tied}, {max_shard_bytes}"
            );
        }
    }
}

#[test]
fn fp32_weights_are_unchanged_to_the_bit() {
    let folder = HubFolder::open(model_folder().keep()).unwrap();
    let initializer = Initializer::new(3, &config(false));
    for spec in config(false).parameters().iter() {
        assert_eq!(
            bits(&folder.read(spec).unwrap()),
            bits(&initializer.tensor(spec)),
            "{}",
            spec.name
        );
    }
    fs::remove_dir_all(folder.path()).unwrap();
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn sixteen_bit_weights_have_the_precision_of_one_rounding() {
    for (format, precision) in [(FloatDtype::Bf16, 8), (FloatDtype::Fp16, 11)] {
        let temporary = tempfile::tempdir().unwrap();
        export_seeded(temporary.path(), &config(false), &options(format, u64::MAX));
        let embedding = config(false).parameters().embedding;
        let read = HubFolder::open(temporary.path()).unwrap().read(&embedding).unwrap();
        let exact = Initializer::new(3, &config(false)).tensor(&embedding);
        let worst = read
            .iter()
            .zip(&exact)
            .map(|(read, exact)| (read / exact - 1.0).abs())
            .fold(0.0, f32::max);
        assert!(
            worst <= 2f32.powi(-precision) && worst > 2f32.powi(-precision - 2),
            "{format:?}: {worst}"
        );
    }
}

#[test]
fn shards_stay_within_the_limit_and_the_index_lists_all_tensors() {
    let temporary = tempfile::tempdir().unwrap();
    export_seeded(temporary.path(), &config(false), &options(FloatDtype::Fp32, 3000));
    let files = contents(temporary.path());
    let shards: Vec<_> = files.keys().filter(|name| name.ends_with(".safetensors")).collect();
    assert_eq!(*shards[0], format!("model-00001-of-{:05}.safetensors", shards.len()));
    let mut num_tensors = 0;
    for name in &shards {
        let shard = SafetensorsFile::open(temporary.path().join(name)).unwrap();
        assert_eq!(shard.metadata()["format"], "pt");
        let bytes: usize =
            shard.tensors().values().map(|info| info.data_offsets.1 - info.data_offsets.0).sum();
        assert!(bytes <= 3000, "{name}: {bytes}");
        num_tensors += shard.tensors().len();
    }
    let index: serde_json::Value =
        serde_json::from_slice(&files["model.safetensors.index.json"]).unwrap();
    assert_eq!(index["weight_map"].as_object().unwrap().len(), num_tensors);
    assert_eq!(index["metadata"]["total_size"], 4 * config(false).num_parameters());
}

#[test]
fn a_range_equals_the_same_part_of_the_whole_tensor() {
    for format in FloatDtype::ALL {
        let temporary = tempfile::tempdir().unwrap();
        export_seeded(temporary.path(), &config(false), &options(format, u64::MAX));
        let folder = HubFolder::open(temporary.path()).unwrap();
        let spec = config(false).parameters().blocks[1].mlp.down.clone();
        let whole = folder.read(&spec).unwrap();
        for range in [0..1, 7..100, 383..384, 384..384] {
            let mut part = vec![0.0; range.len()];
            folder.read_range(&spec, range.start, &mut part).unwrap();
            assert_eq!(part, whole[range]);
        }
        let error = folder.read_range(&spec, 380, &mut [0.0; 5]).unwrap_err();
        assert!(matches!(error, HubError::Range { available: 384, end: 385, .. }), "{error:?}");
    }
}

#[test]
fn an_export_removes_the_weight_files_of_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    export_seeded(folder.path(), &config(false), &options(FloatDtype::Fp32, 3000));
    export_seeded(folder.path(), &config(true), &options(FloatDtype::Bf16, u64::MAX));
    let names: Vec<_> = contents(folder.path()).into_keys().collect();
    assert_eq!(
        names,
        ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"]
    );
    assert!(HubFolder::open(folder.path()).unwrap().config().model.tied);
}

#[test]
fn a_failed_export_leaves_the_folder_unchanged() {
    let folder = model_folder();
    let before = contents(folder.path());
    for stop_at in 0..config(false).parameters().iter().count() {
        let mut tensors = 0;
        let error =
            export(folder.path(), &config(false), &options(FloatDtype::Bf16, 2000), |spec| {
                tensors += 1;
                if tensors > stop_at {
                    Err(io::Error::from(io::ErrorKind::StorageFull))
                } else {
                    Ok(Cow::from(vec![0.0; spec.num_elements()]))
                }
            })
            .unwrap_err();
        assert!(matches!(&error, HubError::Io { action: "write", .. }), "{error:?}");
        assert!(contents(folder.path()) == before, "stopped at tensor {stop_at}");
    }
}

#[test]
fn a_tensor_of_the_wrong_length_is_an_error_and_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(FloatDtype::Fp32, u64::MAX);
    let error = export(folder.path(), &config(false), &options, |_| Ok(Cow::from(vec![0.0; 3])))
        .unwrap_err();
    assert!(matches!(error, HubError::Io { .. }), "{error:?}");
    assert!(contents(folder.path()).is_empty());
}

#[test]
fn without_the_config_field_a_model_is_tied_if_it_has_no_head() {
    for tied in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        export_seeded(folder.path(), &config(tied), &options(FloatDtype::Fp32, u64::MAX));
        remove_config_field(folder.path(), "tie_word_embeddings");
        assert_eq!(HubFolder::open(folder.path()).unwrap().config().model, config(tied));
    }
}

fn remove_config_field(folder: &std::path::Path, field: &str) {
    let path = folder.join("config.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json.as_object_mut().unwrap().remove(field).unwrap();
    fs::write(path, json.to_string()).unwrap();
}

#[test]
fn redundant_tensors_of_older_exports_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    export_seeded(folder.path(), &config(true), &options(FloatDtype::Fp32, u64::MAX));
    let mut tensors = headers(&ModelConfig { tied: false, ..config(true) });
    let frequencies = "model.layers.0.self_attn.rotary_emb.inv_freq";
    tensors.push(covey_model::hub::TensorHeader {
        name: frequencies.into(),
        shape: vec![3],
        ..tensors[0].clone()
    });
    write_zeros(&folder.path().join("model.safetensors"), &tensors);
    assert!(HubFolder::open(folder.path()).unwrap().config().model.tied);
}
