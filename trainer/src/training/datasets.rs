//! What a run learns from: data sets, their tokenizer, and the order of their windows.

use anyhow::Context;
use covey_data::dataset::{Dataset, Split};
use covey_data::sampling::{Cursor, WindowSampler, WindowSource};
use covey_data::tokenizer::Tokenizer;
use covey_model::config::ModelConfig;

use crate::config::schema::Config;
use crate::system::error::UsageError;
use crate::training::checkpoint::Checkpoint;

/// Every source, compared with its manifest.
pub(crate) fn open_datasets(config: &Config) -> anyhow::Result<Vec<Dataset>> {
    let open = |source: &crate::config::schema::Source| {
        let dataset = Dataset::open(&source.path)?;
        // Wrong tokens would be learned without a word; reading them all once is little beside learning them.
        dataset.verify()?;
        Ok(dataset)
    };
    config.data.sources.iter().map(open).collect()
}

/// The tokenizer of all sources.
pub(crate) fn common_tokenizer(datasets: &[Dataset]) -> anyhow::Result<Tokenizer> {
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

/// The data's ids and windows must fit the network.
pub(crate) fn check_fit(
    model: &ModelConfig,
    tokenizer: &Tokenizer,
    config: &Config,
) -> anyhow::Result<()> {
    let (vocab, known) = (tokenizer.vocab_size(), model.vocab_size);
    if vocab > known {
        let problem = UsageError::new(format!(
            "the data has token ids up to {}, the model knows {known}",
            vocab.saturating_sub(1)
        ));
        let hint = "leave `model.vocab_size` out to take it from the data, or prepare the data with the model's tokenizer";
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

/// The windows in the run's order, from the beginning or from where a checkpoint stands.
pub(crate) fn sampler(
    config: &Config,
    datasets: &[Dataset],
    from: Option<&Checkpoint>,
) -> anyhow::Result<WindowSampler> {
    let sources = datasets.iter().zip(&config.data.sources).map(|(dataset, source)| {
        let windows = dataset.windows(Split::Train, config.data.sequence_length)?;
        Ok(WindowSource { windows, weight: source.weight })
    });
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let Some(checkpoint) = from else { return Ok(WindowSampler::new(sources, config.run.seed)?) };
    let cursor: Cursor =
        serde_json::from_value(checkpoint.state().cursor.clone()).with_context(|| {
            format!("the data cursor of {} cannot be read", checkpoint.path().display())
        })?;
    if cursor.seed != config.run.seed {
        let problem = UsageError::new(format!(
            "run.seed = {}, but the run began with {}",
            config.run.seed, cursor.seed
        ));
        return Err(problem.with_hint("leave the seed out to go on with the run's own").into());
    }
    Ok(WindowSampler::resume(sources, cursor)?)
}
