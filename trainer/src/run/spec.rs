//! What all peers of a run have agreed on, read from the files that its description names.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use covey_comms::run::Run;
use covey_data::dataset::Dataset;
use covey_model::config::ModelConfig;
use covey_model::hub::HubConfig;
use serde::{Deserialize, Serialize};

use crate::config::SHARED_CONFIG;
use crate::config::layers::{Layers, Purpose};
use crate::config::schema::{Config, Source};
use crate::system::error::UsageError;
use crate::training::checkpoint::ExtraFile;

/// What the run's description calls the Hub's `config.json`.
pub(super) const MODEL_CONFIG: &str = "model/config.json";
/// What the names of the tokenizer's files begin with.
pub(super) const TOKENIZER: &str = "tokenizer/";
/// What the run's description calls the list of its data sets.
pub(super) const DATA: &str = "data.json";

/// One data set of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedSource {
    /// Digest of its manifest, and so of everything in it.
    pub digest: String,
    /// Its share of the windows, relative to the others.
    pub weight: f64,
    /// Its files, if they are in the bucket; otherwise every peer brings the data along.
    pub files: Vec<String>,
}

impl SharedSource {
    /// What the run's description calls the file `name` of data set number `index`.
    pub(super) fn part(index: usize, name: &str) -> String {
        format!("data/{index}/{name}")
    }
}

/// Everything that peers agree on, checked.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// The keys of the configuration that the run fixes, as TOML.
    pub shared: String,
    /// The same with defaults for all other keys.
    pub config: Config,
    /// The network.
    pub model: ModelConfig,
    /// Text of the Hub's `config.json`.
    pub model_config: String,
    /// The tokenizer's files.
    pub tokenizer_files: Vec<ExtraFile>,
    /// What is learned from.
    pub sources: Vec<SharedSource>,
}

impl RunSpec {
    /// Reads them from the bucket.
    ///
    /// # Errors
    /// A file that cannot be fetched, or that is not what it should be.
    pub async fn read(run: &Run) -> anyhow::Result<Self> {
        let shared = text(run, SHARED_CONFIG).await?;
        let config =
            Layers::new().text(&shared, Path::new(SHARED_CONFIG)).resolve(Purpose::Show)?.config;
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

    /// Rounds that move the weights, over the whole run.
    pub fn outer_steps(&self) -> u64 {
        self.config.train.steps / self.config.rounds.inner_steps
    }

    /// The folders of the run's data sets in its own order, from those that the user named, or fetched into `cache`;
    /// every file has been held to its digest.
    ///
    /// # Errors
    /// Folders that hold other data than the run's, or data that is neither here nor in the bucket.
    pub async fn data(
        &self,
        run: &Run,
        named: &[Source],
        cache: &Path,
    ) -> anyhow::Result<Vec<Source>> {
        let mut sources = Vec::new();
        for (index, shared) in self.sources.iter().enumerate() {
            let path = match named.is_empty() {
                true => fetched(run, index, shared, &cache.join(index.to_string())).await?,
                false => matching(named, shared)?,
            };
            sources.push(Source { path, weight: shared.weight });
        }
        Ok(sources)
    }
}

async fn text(run: &Run, name: &str) -> anyhow::Result<String> {
    let bytes = run.part(name).await?;
    String::from_utf8(bytes.to_vec()).with_context(|| format!("{name} of the run is no text"))
}

/// The folder that holds exactly the data of `shared`.
fn matching(named: &[Source], shared: &SharedSource) -> anyhow::Result<PathBuf> {
    for source in named {
        let dataset = Dataset::open(&source.path)?;
        if dataset.digest().to_string() == shared.digest {
            dataset.verify()?;
            return Ok(source.path.clone());
        }
    }
    let paths: Vec<_> = named.iter().map(|source| source.path.display().to_string()).collect();
    let problem = UsageError::new(format!(
        "none of {} is the run's data set {}",
        paths.join(", "),
        short(&shared.digest)
    ));
    Err(problem.with_hint(data_hint(shared)).into())
}

fn data_hint(shared: &SharedSource) -> &'static str {
    match shared.files.is_empty() {
        true => {
            "prepare the same text with the run's tokenizer and the same settings, or copy the prepared folder"
        }
        false => "leave `--data` out to fetch it from the bucket",
    }
}

/// Fetches a data set from the bucket, once.
async fn fetched(
    run: &Run,
    index: usize,
    shared: &SharedSource,
    folder: &Path,
) -> anyhow::Result<PathBuf> {
    // Fetching may have been cut short, in any file.
    let is_whole = |dataset: Dataset| {
        dataset.digest().to_string() == shared.digest && dataset.verify().is_ok()
    };
    if Dataset::open(folder).is_ok_and(is_whole) {
        return Ok(folder.to_owned());
    }
    if shared.files.is_empty() {
        let problem = UsageError::new(format!(
            "the run's data set {} is not in the bucket",
            short(&shared.digest)
        ));
        return Err(problem
            .with_hint(format!("name its folder with `--data`; {}", data_hint(shared)))
            .into());
    }
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    for name in &shared.files {
        anyhow::ensure!(is_plain(name), "data set {index} of the run has a file called `{name}`");
        let bytes = run.part(&SharedSource::part(index, name)).await?;
        let path = folder.join(name);
        std::fs::write(&path, &bytes)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let dataset = Dataset::open(folder)?;
    let got = dataset.digest();
    anyhow::ensure!(
        got.to_string() == shared.digest,
        "the run's data set {index} is {got}, not {}",
        shared.digest
    );
    dataset.verify()?;
    Ok(folder.to_owned())
}

/// Whether `name` can only mean a file in the folder itself.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':'])
}

fn short(digest: &str) -> &str {
    digest.get(..8).unwrap_or(digest)
}

/// All files of a prepared folder, with their contents.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn files_of(dataset: &Dataset) -> anyhow::Result<Vec<(String, Bytes)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dataset.folder())? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_file() && !name.starts_with('.') {
            let bytes =
                std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push((name, bytes.into()));
        }
    }
    files.sort();
    Ok(files)
}
