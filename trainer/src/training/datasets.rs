//! The training data of a run: datasets, their common tokenizer, and the order of windows.

use std::path::Path;

use covey_data::dataset::{Dataset, Split};
use covey_data::sampling::{Cursor, WindowSampler, WindowSource};
use covey_data::tokenizer::Tokenizer;
use covey_model::config::ModelConfig;

use crate::config::schema::Config;
use crate::system::error::{Context, Result, UsageError};
use crate::training::checkpoint::Checkpoint;

/// Opens and verifies all sources of the configuration.
pub(crate) fn open_datasets(config: &Config) -> Result<Vec<Dataset>> {
    config.data.sources.iter().map(|source| open_dataset(&source.path)).collect()
}

fn open_dataset(path: &Path) -> Result<Dataset> {
    let dataset = Dataset::open(path)?;
    // Damaged tokens would be learned silently. Reading all of them once is cheap compared with
    // training on them.
    dataset.verify()?;
    Ok(dataset)
}

/// The tokenizer that all datasets share.
pub(crate) fn common_tokenizer(datasets: &[Dataset]) -> Result<Tokenizer> {
    let first = datasets.first().ok_or_else(|| UsageError::new("there is no data to train on"))?;
    if let Some(other) =
        datasets.iter().find(|other| other.manifest().tokenizer != first.manifest().tokenizer)
    {
        let (one, two) = (first.folder().display(), other.folder().display());
        let problem =
            UsageError::new(format!("{one} and {two} were prepared with different tokenizers"));
        return Err(problem.with_hint("prepare all sources with one `tokenizer.json`").into());
    }
    Ok(first.tokenizer()?)
}

/// Checks that token IDs and windows of the data fit the model.
pub(crate) fn check_fit(model: &ModelConfig, tokenizer: &Tokenizer, config: &Config) -> Result<()> {
    // A larger vocabulary of the model is fine: sizes are often rounded up for speed.
    let (vocab, rows) = (tokenizer.vocab_size(), model.vocab_size);
    if vocab > rows {
        let problem = UsageError::new(format!(
            "the data has token IDs up to {}, but the vocabulary of the model has {rows} tokens",
            vocab.saturating_sub(1)
        ));
        let hint = "leave out `model.vocab_size` to take it from the data, or prepare the data \
                    with the tokenizer of the model";
        return Err(problem.with_hint(hint).into());
    }
    let (length, positions) = (config.data.sequence_length, model.max_positions);
    if length > positions {
        let problem = UsageError::new(format!(
            "data.sequence_length = {length}, but the model has {positions} positions"
        ));
        return Err(problem
            .with_hint(format!("use `--set data.sequence_length={positions}`"))
            .into());
    }
    Ok(())
}

/// The windows in the order of the run, from the beginning or from the position of a checkpoint.
pub(crate) fn sampler(
    config: &Config,
    datasets: &[Dataset],
    from: Option<&Checkpoint>,
) -> Result<WindowSampler> {
    let sources = datasets.iter().zip(&config.data.sources).map(|(dataset, source)| {
        let windows = dataset.windows(Split::Train, config.data.sequence_length)?;
        Ok(WindowSource { windows, weight: source.weight })
    });
    let sources = sources.collect::<Result<Vec<_>>>()?;
    let Some(checkpoint) = from else { return Ok(WindowSampler::new(sources, config.run.seed)?) };
    let cursor: Cursor =
        serde_json::from_value(checkpoint.state().cursor.clone()).with_context(|| {
            format!("the data cursor of {} cannot be read", checkpoint.path().display())
        })?;
    // Another seed is another order: some windows would come twice and others never.
    if cursor.seed != config.run.seed {
        let problem = UsageError::new(format!(
            "run.seed = {}, but the run started with {}",
            config.run.seed, cursor.seed
        ));
        let hint = "leave out `run.seed` to continue with the seed of the run";
        return Err(problem.with_hint(hint).into());
    }
    Ok(WindowSampler::resume(sources, cursor)?)
}
