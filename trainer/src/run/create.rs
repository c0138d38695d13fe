//! Creating a run: its description, and all parts that peers share, stored in a bucket by digest.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use covey_comms::agreement::ValidatorSet;
use covey_comms::objects::Lineage;
use covey_comms::primitives::{Digest, Keypair, Round};
use covey_comms::run::{Description, RoundParams, Run};
use covey_data::dataset::{Dataset, Split};
use covey_data::sampling::{Assignment, WindowSource};
use covey_data::tokenizer::Tokenizer;
use covey_model::config::ModelConfig;

use super::bucket::Connection;
use super::replica::Replica;
use super::spec::{DATA, MODEL_CONFIG, SharedSource, TOKENIZER, files_of};
use super::weight_files::to_parts;
use crate::config::schema::{Config, ModelChoice, NetworkShape, RoundsConfig};
use crate::config::{SHARED_CONFIG, current_path};
use crate::system::error::{Result, UsageError};
use crate::training::{Start, check_fit, common_tokenizer, hub_config, open_datasets};

/// A run that is ready to be published: its description, its parts, and its first weights.
#[derive(Debug)]
pub struct NewRun {
    description: Description,
    parts: BTreeMap<String, Bytes>,
    genesis: Vec<(String, Bytes)>,
}

impl NewRun {
    /// Prepares the run that `config` describes. `with_data` adds the datasets to the parts.
    ///
    /// # Errors
    /// The errors of `covey train`, and settings that a distributed run does not allow.
    pub fn new(config: &Config, validator_set: ValidatorSet, with_data: bool) -> Result<Self> {
        // Settings are checked first, because opening the data reads its manifests and tokenizer.
        check_rounds(config)?;
        check_gauntlet(config)?;
        let datasets = open_datasets(config)?;
        let tokenizer = common_tokenizer(&datasets)?;
        let start = Start::find(config, &tokenizer, None)?;
        check_fit(&start.model, &tokenizer, config)?;
        check_slots(config, &datasets)?;
        // The first weights are part of the run, so peers need not repeat the initialization.
        let weights = start.named_weights(config)?;
        let replica = Replica::new(weights, &config.sparseloco())?;
        let parts = parts(config, &start.model, &tokenizer, &datasets, with_data)?;
        let description = Description {
            name: config.run.name.clone(),
            validator_set,
            seed: config.run.seed,
            genesis_weights: replica.digest(),
            parts: parts.iter().map(|(name, bytes)| (name.clone(), Digest::of(bytes))).collect(),
            rules: rules(&config.rounds, replica.codec().max_len() as u64),
            gauntlet: config.gauntlet.clone(),
        };
        Ok(Self { description, parts, genesis: to_parts(&replica.weights().collect::<Vec<_>>())? })
    }

    /// Writes the run into the bucket: parts, description, and the first checkpoint, in this order.
    ///
    /// If this is interrupted before the checkpoint, no peer can join yet; the same call again
    /// completes the run.
    ///
    /// # Errors
    /// Another run in the bucket, a creator that is not one of the validators, or errors of the
    /// bucket.
    pub async fn publish(self, connection: &Connection, creator: &Keypair) -> Result<Run> {
        let Connection { bucket, clock } = connection.clone();
        let weights = self.description.genesis_weights;
        // The description follows the parts: a peer that finds it can read all of them.
        let run = Run::create(bucket, clock, &self.description, &self.parts).await?;
        let lineage = Lineage::genesis(run.id());
        run.publish_checkpoint(creator, Round::FIRST, lineage, weights, 0, self.genesis).await?;
        Ok(run)
    }
}

fn check_rounds(config: &Config) -> Result<(), UsageError> {
    let (steps, inner) = (config.train.steps, config.rounds.inner_steps);
    if steps.is_multiple_of(inner) {
        return Ok(());
    }
    let problem = UsageError::new(format!(
        "rounds.inner_steps = {inner} does not divide train.steps = {steps}"
    ));
    // Rounded down, but not to zero: the suggestion costs no more than the request.
    let nearest = (steps / inner).max(1) * inner;
    Err(problem.with_hint(format!("use whole rounds, such as `--steps {nearest}`")))
}

fn check_gauntlet(config: &Config) -> Result<(), UsageError> {
    config.gauntlet.check().map_err(|(field, got, reason)| {
        // The Gauntlet names its fields as on the wire.
        let key = current_path(&format!("gauntlet.{field}"));
        UsageError::new(format!("{key} = {got}, but {reason}"))
    })
}

/// Checks that the data has enough windows for all peers of a round to train on different text.
fn check_slots(config: &Config, datasets: &[Dataset]) -> Result<()> {
    let assignment = assignment(config, datasets)?;
    let (slots, peers) = (assignment.disjoint_slots(), u64::from(config.rounds.max_included));
    // Peers with the same text would send nearly the same delta, which looks like a copy.
    if slots >= peers {
        return Ok(());
    }
    let problem = UsageError::new(format!(
        "the data has windows for {slots} peers per round, {} each, \
         but rounds.max_included = {peers}",
        assignment.samples()
    ));
    let hint = match slots {
        0 => "prepare more text, or lower rounds.inner_steps or train.batch_size".to_owned(),
        slots => format!("prepare more text, or use `--set rounds.max_included={slots}`"),
    };
    Err(problem.with_hint(hint).into())
}

/// Returns the assignment of windows to slots in the run that `config` describes.
///
/// # Errors
/// Data without a window of the configured length.
pub fn assignment(config: &Config, datasets: &[Dataset]) -> Result<Assignment> {
    let sources = datasets.iter().zip(&config.data.sources).map(|(dataset, source)| {
        let windows = dataset.windows(Split::Train, config.data.sequence_length)?;
        Ok(WindowSource { windows, weight: source.weight })
    });
    let sources = sources.collect::<Result<_>>()?;
    // The windows of one slot in one round. The micro-batch does not matter, because each machine
    // chooses its own.
    let samples = config.rounds.inner_steps * config.train.batch_size as u64;
    Ok(Assignment::new(sources, config.run.seed, samples))
}

fn rules(rounds: &RoundsConfig, max_delta: u64) -> RoundParams {
    RoundParams {
        max_delta,
        min_peers: rounds.min_peers,
        max_included: rounds.max_included,
        deadline: milliseconds(rounds.commit_deadline),
        reveal: milliseconds(rounds.reveal_deadline),
        takeover: milliseconds(rounds.judging_timeout),
        patience: rounds.max_missed_rounds,
        checkpoint_every: rounds.checkpoint_every,
        keep_checkpoints: rounds.keep_checkpoints,
    }
}

fn milliseconds(seconds: f64) -> Duration {
    // Whole milliseconds: a fraction of a second has no exact binary value.
    Duration::from_millis((seconds * 1e3).round() as u64)
}

fn parts(
    config: &Config,
    model: &ModelConfig,
    tokenizer: &Tokenizer,
    datasets: &[Dataset],
    with_data: bool,
) -> Result<BTreeMap<String, Bytes>> {
    let mut parts = BTreeMap::new();
    let mut sources = Vec::new();
    for (index, (dataset, source)) in datasets.iter().zip(&config.data.sources).enumerate() {
        let files = if with_data { files_of(dataset)? } else { Vec::new() };
        sources.push(SharedSource {
            digest: dataset.digest().to_string(),
            weight: source.weight,
            files: files.iter().map(|(name, _)| name.clone()).collect(),
        });
        parts.extend(
            files.into_iter().map(|(name, bytes)| (SharedSource::part(index, &name), bytes)),
        );
    }
    // A folder in `model.from` exists only on the creator's machine.
    let shared = Config { model: explicit(config, model), ..config.clone() };
    parts.insert(SHARED_CONFIG.into(), shared.shared_toml().into());
    parts.insert(MODEL_CONFIG.into(), hub_config(model, tokenizer).to_json().into());
    parts.insert(DATA.into(), serde_json::to_string_pretty(&sources)?.into());
    let files = tokenizer.files().into_iter();
    parts.extend(files.map(|(name, bytes)| (format!("{TOKENIZER}{name}"), bytes.into())));
    Ok(parts)
}

/// Returns the network by its dimensions, which peers can check, instead of by a folder or from the
/// data.
fn explicit(config: &Config, model: &ModelConfig) -> ModelChoice {
    ModelChoice {
        preset: config.model.preset.clone(),
        from: None,
        shape: Some(NetworkShape::from(model)),
    }
}
