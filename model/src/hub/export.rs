//! Export of a model folder, with one tensor in memory at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::atomic_folder::AtomicFolder;
use super::config_json::{HubConfig, TokenIds};
use super::dtype::FloatDtype;
use super::file_names::{CONFIG, GENERATION_CONFIG, INDEX, WEIGHTS};
use super::safetensors_file::{TensorHeader, write_safetensors};
use crate::config::{ModelConfig, ParameterSpec};
use crate::error::HubError;

/// Options of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// Dtype of the weights; 16-bit numbers are rounded to nearest even.
    pub format: FloatDtype,
    /// Most bytes of tensors per file. A single larger tensor gets its own file.
    pub max_shard_bytes: u64,
    /// Beginning and end of a text.
    pub token_ids: TokenIds,
}

impl Default for ExportOptions {
    /// fp32 in files of at most 5 GB, the default of `transformers`.
    fn default() -> Self {
        Self {
            format: FloatDtype::Fp32,
            max_shard_bytes: 5_000_000_000,
            token_ids: TokenIds::default(),
        }
    }
}

/// Writes `config.json`, `generation_config.json` and the weights into `folder`, and replaces any
/// model there.
///
/// `numbers` returns the elements of one parameter at a time and is called in canonical order. The
/// folder keeps its old content until all files are on the disk. Files with other names stay. Equal
/// arguments give equal bytes.
///
/// # Errors
/// [`HubError::Io`] for errors of the file system and of `numbers`.
pub fn export<'a>(
    folder: &Path,
    config: &ModelConfig,
    options: &ExportOptions,
    mut numbers: impl FnMut(&ParameterSpec) -> io::Result<Cow<'a, [f32]>>,
) -> Result<(), HubError> {
    let parameters = config.parameters();
    let specs: Vec<&ParameterSpec> = parameters.iter().collect();
    let shards = shards(&specs, options);
    let mut staging = AtomicFolder::new(folder)?;
    for (index, shard) in shards.iter().enumerate() {
        let name = shard_name(index, shards.len());
        staging.write(&name, |sink| {
            write_safetensors(sink, &metadata(), &headers(shard, options.format), |tensor, sink| {
                options.format.write(&numbers(shard[tensor])?, sink)
            })
        })?;
    }
    if shards.len() > 1 {
        staging
            .write(INDEX, |sink| sink.write_all(index_json(&shards, options.format).as_bytes()))?;
    }
    staging
        .write(GENERATION_CONFIG, |sink| sink.write_all(options.token_ids.to_json().as_bytes()))?;
    staging
        .write(CONFIG, |sink| sink.write_all(hub_config(config, options).to_json().as_bytes()))?;
    // `commit` gives the config its name last, so only complete folders are models.
    staging.commit()
}

fn hub_config(config: &ModelConfig, options: &ExportOptions) -> HubConfig {
    HubConfig {
        model: config.clone(),
        token_ids: options.token_ids.clone(),
        format: Some(options.format),
        tying_is_stated: true,
    }
}

/// Metadata of each weight file. `transformers` rejects files without the name of a framework.
fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("format".to_owned(), "pt".to_owned())])
}

fn headers(shard: &[&ParameterSpec], format: FloatDtype) -> Vec<TensorHeader> {
    shard
        .iter()
        .map(|spec| TensorHeader {
            name: spec.name.clone(),
            dtype: format.dtype(),
            shape: spec.shape.clone(),
        })
        .collect()
}

fn num_bytes(spec: &ParameterSpec, format: FloatDtype) -> u64 {
    spec.num_elements() as u64 * format.width() as u64
}

/// Divides the parameters into files: consecutive ones, as many per file as the limit allows.
fn shards<'s>(specs: &[&'s ParameterSpec], options: &ExportOptions) -> Vec<Vec<&'s ParameterSpec>> {
    let mut shards = vec![Vec::new()];
    let mut filled = 0;
    for spec in specs {
        let bytes = num_bytes(spec, options.format);
        // A tensor above the limit still goes into a file, but an empty file is never written.
        if filled > 0 && filled + bytes > options.max_shard_bytes {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        shards.last_mut().expect("the list starts with one shard").push(*spec);
    }
    shards
}

/// Name of a weight file; `transformers` counts shards from 1.
fn shard_name(index: usize, count: usize) -> String {
    match count {
        1 => WEIGHTS.to_owned(),
        _ => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
    }
}

/// The index: total size of the data, and the file of each tensor.
fn index_json(shards: &[Vec<&ParameterSpec>], format: FloatDtype) -> String {
    let total: u64 = shards.iter().flatten().map(|spec| num_bytes(spec, format)).sum();
    let named =
        shards.iter().enumerate().map(|(index, shard)| (shard_name(index, shards.len()), shard));
    let map: Map<String, Value> = named
        .flat_map(|(file, shard)| {
            shard.iter().map(move |spec| (spec.name.clone(), Value::from(file.clone())))
        })
        .collect();
    format!("{:#}\n", json!({ "metadata": { "total_size": total }, "weight_map": map }))
}
