//! The run spec: the settings that all peers of a run share, read from the parts of the run.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use covey_comms::run::Run;
use covey_data::dataset::Dataset;
use covey_model::config::ModelConfig;
use covey_model::hub::HubConfig;
use serde::{Deserialize, Serialize};

use crate::config::SHARED_CONFIG;
use crate::config::schema::{Config, Source};
use crate::system::error::{Context, Failure, Result, UsageError};
use crate::training::checkpoint::ExtraFile;

/// Name of the part that contains the Hub's `config.json`.
pub(super) const MODEL_CONFIG: &str = "model/config.json";
/// Prefix of the parts that contain the tokenizer.
pub(super) const TOKENIZER: &str = "tokenizer/";
/// Name of the part that lists the datasets.
pub(super) const DATA: &str = "data.json";

/// One dataset of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedSource {
    /// Digest of its manifest, which fixes all of its contents.
    pub digest: String,
    /// Its share of the windows, relative to the other datasets.
    pub weight: f64,
    /// Its files in the bucket; empty if each peer supplies its own copy.
    pub files: Vec<String>,
}

impl SharedSource {
    /// Name of the part that contains file `name` of dataset number `index`.
    pub(super) fn part(index: usize, name: &str) -> String {
        format!("data/{index}/{name}")
    }
}

/// The shared settings of a run, checked.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// The configuration keys that the run fixes, as TOML.
    pub shared: String,
    /// The same, with defaults for all other keys.
    pub config: Config,
    /// The network.
    pub model: ModelConfig,
    /// Text of the Hub's `config.json`.
    pub model_config: String,
    /// The files of the tokenizer.
    pub tokenizer_files: Vec<ExtraFile>,
    /// The datasets.
    pub sources: Vec<SharedSource>,
}

impl RunSpec {
    /// Reads the run spec from the bucket.
    ///
    /// # Errors
    /// A part that cannot be downloaded or parsed.
    pub async fn read(run: &Run) -> Result<Self> {
        let shared = text(run, SHARED_CONFIG).await?;
        let config = Config::from_shared_toml(&shared)?;
        let model_config = text(run, MODEL_CONFIG).await?;
        let model = HubConfig::parse(&model_config, Path::new(MODEL_CONFIG))?.model;
        let sources = serde_json::from_str(&text(run, DATA).await?)
            .with_context(|| format!("{DATA} of the run"))?;
        let names = run.description().parts.keys().filter(|name| name.starts_with(TOKENIZER));
        let mut tokenizer_files = Vec::new();
        for name in names {
            let file = name.trim_start_matches(TOKENIZER).to_owned();
            tokenizer_files.push(ExtraFile { name: file, bytes: run.part(name).await?.to_vec() });
        }
        Ok(Self { shared, config, model, model_config, tokenizer_files, sources })
    }

    /// Number of outer steps of the whole run; void rounds do not count.
    pub fn outer_steps(&self) -> u64 {
        self.config.train.steps / self.config.rounds.inner_steps
    }

    /// Returns the folders of the run's datasets, in the order of the run: those in `named`, or, if
    /// there are none, copies that are downloaded into `cache`. Every file is checked against its
    /// digest.
    ///
    /// # Errors
    /// Folders with other data, or data that is neither here nor in the bucket.
    pub async fn data(&self, run: &Run, named: &[Source], cache: &Path) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for (index, shared) in self.sources.iter().enumerate() {
            let path = if named.is_empty() {
                download(run, index, shared, &cache.join(index.to_string())).await?
            } else {
                matching(named, shared)?
            };
            sources.push(Source { path, weight: shared.weight });
        }
        Ok(sources)
    }
}

async fn text(run: &Run, name: &str) -> Result<String> {
    let bytes = run.part(name).await?;
    String::from_utf8(bytes.to_vec())
        .with_context(|| format!("part {name} of the run is not UTF-8 text"))
}

/// Returns the folder with exactly the data of `shared`.
fn matching(named: &[Source], shared: &SharedSource) -> Result<PathBuf> {
    for source in named {
        let dataset = Dataset::open(&source.path)?;
        if dataset.digest().to_string() == shared.digest {
            // The digest covers the manifest; this compares the shards with it.
            dataset.verify()?;
            return Ok(source.path.clone());
        }
    }
    let paths: Vec<_> = named.iter().map(|source| source.path.display().to_string()).collect();
    let problem = UsageError::new(format!(
        "none of {} contains the run's dataset {}",
        paths.join(", "),
        short(&shared.digest)
    ));
    Err(problem.with_hint(data_hint(shared)).into())
}

fn data_hint(shared: &SharedSource) -> &'static str {
    if shared.files.is_empty() {
        "prepare the same text with the run's tokenizer and the same settings, \
         or copy the prepared folder"
    } else {
        "leave out `--data` to download it from the bucket"
    }
}

/// Downloads a dataset from the bucket, unless it is complete in `folder`.
async fn download(
    run: &Run,
    index: usize,
    shared: &SharedSource,
    folder: &Path,
) -> Result<PathBuf> {
    if is_complete(folder, shared) {
        return Ok(folder.to_owned());
    }
    if shared.files.is_empty() {
        let digest = short(&shared.digest);
        let problem =
            UsageError::new(format!("the bucket does not contain the run's dataset {digest}"));
        let hint = format!("name its folder with `--data`; {}", data_hint(shared));
        return Err(problem.with_hint(hint).into());
    }
    download_files(run, index, shared, folder).await?;
    let dataset = Dataset::open(folder)?;
    let got = dataset.digest();
    if got.to_string() != shared.digest {
        return Err(Failure::new(format!(
            "dataset {index} of the run has digest {got}, expected {}",
            shared.digest
        )));
    }
    // The parts have the right digests, but the manifest may list other shards.
    dataset.verify()?;
    Ok(folder.to_owned())
}

fn is_complete(folder: &Path, shared: &SharedSource) -> bool {
    // An earlier download may have been interrupted in any file, so all digests are checked.
    Dataset::open(folder).is_ok_and(|dataset: Dataset| {
        dataset.digest().to_string() == shared.digest && dataset.verify().is_ok()
    })
}

async fn download_files(
    run: &Run,
    index: usize,
    shared: &SharedSource,
    folder: &Path,
) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    for name in &shared.files {
        if !is_plain(name) {
            return Err(Failure::new(format!(
                "dataset {index} of the run has a file with the invalid name `{name}`"
            )));
        }
        let bytes = run.part(&SharedSource::part(index, name)).await?;
        let path = folder.join(name);
        std::fs::write(&path, &bytes)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Returns true if `name` can only denote a file directly in its folder. The names come from the
/// bucket: `../` must not lead out of the folder.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':'])
}

fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

/// Returns all files of a prepared folder with their contents, sorted by name.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn files_of(dataset: &Dataset) -> Result<Vec<(String, Bytes)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dataset.folder())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        // Hidden files, such as locks, are not data.
        if path.is_file() && !name.starts_with('.') {
            let bytes =
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push((name, bytes.into()));
        }
    }
    // The order of a directory listing differs between machines.
    files.sort();
    Ok(files)
}
