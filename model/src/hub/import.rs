//! Reading a model folder: everything is checked when it is opened, numbers are read when asked for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::config_json::HubConfig;
use super::dtype::FloatDtype;
use super::file_names::{CONFIG, INDEX, WEIGHTS};
use super::safetensors_file::SafetensorsFile;
use crate::config::ParameterSpec;
use crate::error::HubError;

const HEAD: &str = "lm_head.weight";

/// A model folder whose config is supported and whose files hold every tensor it implies, in its shape.
///
/// Weights lie in `model.safetensors`, or in the shards that
/// `model.safetensors.index.json` names. Tensors beyond those implied are
/// refused, except two that older exports carry along: frequencies of the
/// rotary embedding (`*.rotary_emb.inv_freq`) and the head of a tied model.
///
/// If `config.json` does not say whether the head is tied, its absence does.
#[derive(Debug)]
pub struct HubFolder {
    path: PathBuf,
    config: HubConfig,
    files: Vec<SafetensorsFile>,
    /// Index into `files` of every tensor.
    places: BTreeMap<String, usize>,
}

impl HubFolder {
    /// Reads the config and all headers.
    ///
    /// # Errors
    /// [`HubError`] names the file, and the tensor or field, that is missing or wrong.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HubError> {
        let path = path.into();
        let config_path = path.join(CONFIG);
        let text = fs::read_to_string(&config_path).map_err(HubError::io(&config_path, "read"))?;
        let config = HubConfig::parse(&text, &config_path)?;
        let files = open_files(&path)?;
        let places = places(&files)?;
        let mut folder = Self { path, config, files, places };
        if !folder.config.tying_is_stated {
            folder.config.model.tied = !folder.places.contains_key(HEAD);
        }
        folder.check_tensors()?;
        Ok(folder)
    }

    /// Where the folder lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `config.json` says.
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// All elements of a parameter, converted to f32 without loss.
    ///
    /// # Errors
    /// [`HubError::MissingTensor`] and [`HubError::Shape`] for a parameter of another network,
    /// [`HubError::Io`] when the file has changed since it was opened.
    pub fn read(&self, spec: &ParameterSpec) -> Result<Vec<f32>, HubError> {
        self.checked_file(spec)?;
        let mut numbers = vec![0.0; spec.num_elements()];
        self.read_range(spec, 0, &mut numbers)?;
        Ok(numbers)
    }

    /// Fills `numbers` with the parameter's elements from `first_index` on, in row-major order.
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
        let mut extra = self.places.clone();
        for spec in parameters.iter() {
            let file = self.checked_file(spec)?;
            check_dtype(file, &spec.name)?;
            extra.remove(&spec.name);
        }
        match extra.iter().find(|(name, _)| !self.is_harmless(name)) {
            Some((name, place)) => Err(HubError::UnexpectedTensor {
                path: self.files[*place].path().to_owned(),
                tensor: name.clone(),
            }),
            None => Ok(()),
        }
    }

    fn is_harmless(&self, name: &str) -> bool {
        name.ends_with(".rotary_emb.inv_freq") || (name == HEAD && self.config.model.tied)
    }

    /// The file that holds the parameter, in the shape expected.
    fn checked_file(&self, spec: &ParameterSpec) -> Result<&SafetensorsFile, HubError> {
        let tensor = || spec.name.clone();
        let Some(place) = self.places.get(&spec.name) else {
            return Err(HubError::MissingTensor { path: self.path.clone(), tensor: tensor() });
        };
        let file = &self.files[*place];
        let got = &file.tensor(&spec.name)?.shape;
        if *got != spec.shape {
            let (path, expected, got) = (file.path().to_owned(), spec.shape.clone(), got.clone());
            return Err(HubError::Shape { path, tensor: tensor(), expected, got });
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

/// `model.safetensors.index.json`: which shard holds which tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn open_files(folder: &Path) -> Result<Vec<SafetensorsFile>, HubError> {
    let (single, index) = (folder.join(WEIGHTS), folder.join(INDEX));
    if single.exists() {
        return Ok(vec![SafetensorsFile::open(single)?]);
    }
    if !index.exists() {
        return Err(HubError::NoWeights { folder: folder.to_owned() });
    }
    open_shards(folder, &index)
}

fn open_shards(folder: &Path, index_path: &Path) -> Result<Vec<SafetensorsFile>, HubError> {
    let text = fs::read_to_string(index_path).map_err(HubError::io(index_path, "read"))?;
    let index: Index = serde_json::from_str(&text).map_err(HubError::json(index_path))?;
    let mut shards = BTreeMap::new();
    for (tensor, name) in &index.weight_map {
        if !shards.contains_key(name) {
            check_plain_name(index_path, name)?;
            shards.insert(name, SafetensorsFile::open(folder.join(name))?);
        }
        shards[name].tensor(tensor)?;
    }
    Ok(shards.into_values().collect())
}

/// An index is somebody else's text: it must not lead out of the folder.
fn check_plain_name(index_path: &Path, name: &str) -> Result<(), HubError> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(_)), None) => Ok(()),
        _ => Err(HubError::damaged(index_path, format!("`{name}` is no file name"))),
    }
}

fn places(files: &[SafetensorsFile]) -> Result<BTreeMap<String, usize>, HubError> {
    let mut places = BTreeMap::new();
    for (place, file) in files.iter().enumerate() {
        for name in file.tensors().keys() {
            if let Some(earlier) = places.insert(name.clone(), place) {
                let problem =
                    format!("`{name}` is in `{}` as well", files[earlier].path().display());
                return Err(HubError::damaged(file.path(), problem));
            }
        }
    }
    Ok(places)
}
