//! Import of a model folder: opening it checks all headers; numbers are read on request.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::bounded_read::{MAX_JSON, read_text};
use super::config_json::HubConfig;
use super::dtype::FloatDtype;
use super::file_names::{CONFIG, INDEX, WEIGHTS};
use super::safetensors_file::SafetensorsFile;
use crate::config::ParameterSpec;
use crate::error::HubError;

const HEAD: &str = "lm_head.weight";

/// A model folder with a supported config, and with all tensors that the config implies.
///
/// The weights are in `model.safetensors`, or in the shards of `model.safetensors.index.json`.
/// Additional tensors are an error, with two exceptions that older exports contain: the frequencies
/// of the rotary embedding (`*.rotary_emb.inv_freq`), and the head of a tied model.
///
/// If `config.json` has no `tie_word_embeddings`, the model is tied exactly if it has no head.
#[derive(Debug)]
pub struct HubFolder {
    path: PathBuf,
    config: HubConfig,
    files: Vec<SafetensorsFile>,
    /// For each tensor, the index of its file in `files`.
    file_indices: BTreeMap<String, usize>,
}

impl HubFolder {
    /// Reads the config and all headers.
    ///
    /// # Errors
    /// [`HubError`] with the file, and the tensor or field, that is missing or invalid.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HubError> {
        let path = path.into();
        let config_path = path.join(CONFIG);
        let text = read_text(&config_path, MAX_JSON).map_err(HubError::io(&config_path, "read"))?;
        let config = HubConfig::parse(&text, &config_path)?;
        let files = open_files(&path)?;
        let file_indices = file_indices(&files)?;
        let mut folder = Self { path, config, files, file_indices };
        if !folder.config.tying_is_stated {
            // The default of `transformers` depends on the family and its version; the tensors do
            // not.
            folder.config.model.tied = !folder.file_indices.contains_key(HEAD);
        }
        folder.check_tensors()?;
        Ok(folder)
    }

    /// Path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of `config.json`.
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// All elements of a parameter, converted to f32 without loss.
    ///
    /// # Errors
    /// [`HubError::MissingTensor`] and [`HubError::Shape`] for a parameter of another network,
    /// [`HubError::Io`] if the file was truncated after it was opened.
    pub fn read(&self, spec: &ParameterSpec) -> Result<Vec<f32>, HubError> {
        self.checked_file(spec)?;
        let mut numbers = vec![0.0; spec.num_elements()];
        self.read_range(spec, 0, &mut numbers)?;
        Ok(numbers)
    }

    /// Fills `numbers` with the elements of a parameter from `first_index` on, in row-major order.
    ///
    /// # Errors
    /// As [`HubFolder::read`], and [`HubError::Range`].
    pub fn read_range(
        &self,
        spec: &ParameterSpec,
        first_index: usize,
        numbers: &mut [f32],
    ) -> Result<(), HubError> {
        self.checked_file(spec)?.read_numbers(&spec.name, first_index, numbers)
    }

    fn check_tensors(&self) -> Result<(), HubError> {
        let parameters = self.config.model.parameters();
        let mut extra = self.file_indices.clone();
        for spec in parameters.iter() {
            let file = self.checked_file(spec)?;
            check_dtype(file, &spec.name)?;
            extra.remove(&spec.name);
        }
        // A network that ignored, say, a bias would load and silently compute something else.
        match extra.iter().find(|(name, _)| !self.is_redundant(name)) {
            Some((name, index)) => Err(HubError::UnexpectedTensor {
                path: self.files[*index].path().to_owned(),
                tensor: name.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Returns true for a tensor that follows from the config or from another tensor.
    fn is_redundant(&self, name: &str) -> bool {
        name.ends_with(".rotary_emb.inv_freq") || (name == HEAD && self.config.model.tied)
    }

    /// The file with the parameter, if its shape is as expected.
    fn checked_file(&self, spec: &ParameterSpec) -> Result<&SafetensorsFile, HubError> {
        let tensor = spec.name.clone();
        let Some(index) = self.file_indices.get(&tensor) else {
            return Err(HubError::MissingTensor { path: self.path.clone(), tensor });
        };
        let file = &self.files[*index];
        let got = &file.tensor(&tensor)?.shape;
        if *got != spec.shape {
            let (path, expected, got) = (file.path().to_owned(), spec.shape.clone(), got.clone());
            return Err(HubError::Shape { path, tensor, expected, got });
        }
        Ok(file)
    }
}

fn check_dtype(file: &SafetensorsFile, name: &str) -> Result<(), HubError> {
    let dtype = file.tensor(name)?.dtype;
    match FloatDtype::from_dtype(dtype) {
        Some(_) => Ok(()),
        None => Err(HubError::UnknownDtype {
            path: file.path().to_owned(),
            tensor: name.to_owned(),
            dtype: dtype.to_string(),
        }),
    }
}

/// `model.safetensors.index.json`: the shard of each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn open_files(folder: &Path) -> Result<Vec<SafetensorsFile>, HubError> {
    let (single, index) = (folder.join(WEIGHTS), folder.join(INDEX));
    // `transformers` prefers the single file as well if both exist.
    if single.exists() {
        return Ok(vec![SafetensorsFile::open(single)?]);
    }
    if !index.exists() {
        return Err(HubError::NoWeights { folder: folder.to_owned() });
    }
    open_shards(folder, &index)
}

fn open_shards(folder: &Path, index_path: &Path) -> Result<Vec<SafetensorsFile>, HubError> {
    let text = read_text(index_path, MAX_JSON).map_err(HubError::io(index_path, "read"))?;
    let index: Index = serde_json::from_str(&text).map_err(HubError::json(index_path))?;
    let mut shards = BTreeMap::new();
    for (tensor, name) in &index.weight_map {
        if !shards.contains_key(name) {
            check_plain_name(index_path, name)?;
            shards.insert(name, SafetensorsFile::open(folder.join(name))?);
        }
        // The index promises the tensor; a shard without it is an error even if another shard has
        // it.
        shards[name].tensor(tensor)?;
    }
    Ok(shards.into_values().collect())
}

/// Checks that `name` is a file in the folder itself. The index comes from a download, and a path
/// in it could otherwise read files outside.
fn check_plain_name(index_path: &Path, name: &str) -> Result<(), HubError> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(_)), None) => Ok(()),
        _ => Err(HubError::damaged(index_path, format!("`{name}` is not a plain file name"))),
    }
}

/// The index of the file of each tensor.
fn file_indices(files: &[SafetensorsFile]) -> Result<BTreeMap<String, usize>, HubError> {
    let mut indices = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        for name in file.tensors().keys() {
            // Two values of one parameter: the result would depend on the order of the files.
            if let Some(earlier) = indices.insert(name.clone(), index) {
                let problem = format!("`{name}` is also in `{}`", files[earlier].path().display());
                return Err(HubError::damaged(file.path(), problem));
            }
        }
    }
    Ok(indices)
}
