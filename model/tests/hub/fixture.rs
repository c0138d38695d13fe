//! A small network, and folders with its weights.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use covey_model::config::{ModelConfig, ParameterSpec, preset};
use covey_model::hub::{
    Dtype, ExportOptions, FloatDtype, TensorHeader, TokenIds, export, write_safetensors,
};
use covey_model::init::Initializer;

pub(crate) fn config(tied: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 40,
        hidden_size: 16,
        intermediate_size: 24,
        num_layers: 2,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 6,
        max_positions: 32,
        tied,
        ..preset("tiny").unwrap()
    }
}

pub(crate) fn options(format: FloatDtype, max_shard_bytes: u64) -> ExportOptions {
    ExportOptions { format, max_shard_bytes, token_ids: TokenIds { bos: Some(1), eos: vec![2] } }
}

/// Exports the initial weights of seed 3.
pub(crate) fn export_seeded(folder: &Path, config: &ModelConfig, options: &ExportOptions) {
    let initializer = Initializer::new(3, config);
    export(folder, config, options, |spec| Ok(Cow::from(initializer.tensor(spec)))).unwrap();
}

/// A folder with an fp32 model in one weight file.
pub(crate) fn model_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    export_seeded(folder.path(), &config(false), &options(FloatDtype::Fp32, u64::MAX));
    folder
}

pub(crate) fn headers(config: &ModelConfig) -> Vec<TensorHeader> {
    config.parameters().iter().map(header).collect()
}

fn header(spec: &ParameterSpec) -> TensorHeader {
    TensorHeader { name: spec.name.clone(), dtype: Dtype::F32, shape: spec.shape.clone() }
}

/// Writes a safetensors file of zeros.
pub(crate) fn write_zeros(path: &Path, tensors: &[TensorHeader]) {
    let mut file = File::create(path).unwrap();
    write_safetensors(&mut file, &BTreeMap::new(), tensors, |index, sink| {
        sink.write_all(&vec![0; tensors[index].num_bytes().unwrap()])
    })
    .unwrap();
}

/// Names and contents of all files in a folder.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}
