//! Where a run begins: fresh weights, a trained model, or a checkpoint of its own.

use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use covey_data::tokenizer::Tokenizer;
use covey_model::config::{ModelConfig, ParameterSpec};
use covey_model::hub::HubConfig;
use covey_model::init::Initializer;

use super::model_folder::ModelFolder;
use crate::config::schema::Config;
use crate::system::error::UsageError;
use crate::system::terminal::output::say;
use crate::training::checkpoint::{Checkpoint, NamedTensor};
use crate::training::learner::Learner;

/// Where weights, moments and counters of a run come from.
pub(crate) struct Start<'a> {
    pub(crate) model: ModelConfig,
    trained: Option<ModelFolder>,
    checkpoint: Option<&'a Checkpoint>,
}

impl<'a> Start<'a> {
    /// Finds it and checks that it fits what is configured.
    pub(crate) fn find(
        config: &Config,
        tokenizer: &Tokenizer,
        checkpoint: Option<&'a Checkpoint>,
    ) -> anyhow::Result<Self> {
        if let Some(checkpoint) = checkpoint {
            let path = checkpoint.path().join("config.json");
            let model = HubConfig::parse(checkpoint.model_config(), &path)?.model;
            check_same_shape(config, tokenizer, &model, checkpoint.path())?;
            return Ok(Self { model, trained: None, checkpoint: Some(checkpoint) });
        }
        if let Some(folder) = &config.model.from {
            let trained = ModelFolder::open(folder, |warning| say(&warning))?;
            check_same_tokenizer(&trained, tokenizer)?;
            return Ok(Self {
                model: trained.config().model.clone(),
                trained: Some(trained),
                checkpoint: None,
            });
        }
        let shape = config.model.shape.as_ref().context("a model is either a folder or a shape")?;
        Ok(Self {
            model: shape.model_config(tokenizer.vocab_size())?,
            trained: None,
            checkpoint: None,
        })
    }

    /// A learner that stands there.
    pub(crate) fn learner(self, config: &Config) -> anyhow::Result<Learner> {
        let initializer = Initializer::new(config.run.seed, &self.model);
        let learner = Learner::open(&self.model, config, |spec, range| {
            self.weights(&initializer, spec, range)
        })?;
        let Some(checkpoint) = self.checkpoint else { return Ok(learner) };
        let state = checkpoint.state();
        learner.at(state.step, state.tokens, state.optimizer_steps, |spec, range| {
            Ok(checkpoint.moments_range(&spec.name, range)?)
        })
    }

    /// The whole weights, in canonical order.
    pub(crate) fn named_weights(&self, config: &Config) -> anyhow::Result<Vec<NamedTensor>> {
        let initializer = Initializer::new(config.run.seed, &self.model);
        let named = |spec: &ParameterSpec| {
            let values = self.weights(&initializer, spec, 0..spec.num_elements())?;
            Ok(NamedTensor { name: spec.name.clone(), shape: spec.shape.clone(), values })
        };
        self.model.parameters().iter().map(named).collect()
    }

    /// Some numbers of one weight, counted row by row.
    fn weights(
        &self,
        first: &Initializer,
        spec: &ParameterSpec,
        range: Range<usize>,
    ) -> anyhow::Result<Vec<f32>> {
        if let Some(checkpoint) = self.checkpoint {
            return Ok(checkpoint.weight_range(&spec.name, range)?);
        }
        let mut numbers = vec![0.0; range.len()];
        match &self.trained {
            Some(trained) => trained.hub().read_range(spec, range.start, &mut numbers)?,
            None => first.fill(spec, range.start as u64, &mut numbers),
        }
        Ok(numbers)
    }
}

/// A run that goes on keeps its network, so a configuration of another one would say what is not so.
fn check_same_shape(
    config: &Config,
    tokenizer: &Tokenizer,
    model: &ModelConfig,
    checkpoint: &Path,
) -> anyhow::Result<()> {
    let Some(shape) = &config.model.shape else { return Ok(()) };
    if shape.model_config(tokenizer.vocab_size())? == *model {
        return Ok(());
    }
    let path = checkpoint.display();
    let problem = UsageError::new(format!(
        "the configuration describes another network than the one in {path}"
    ));
    Err(problem
        .with_hint("leave the keys of `model` as they were, or begin a new run in another folder")
        .into())
}

fn check_same_tokenizer(trained: &ModelFolder, tokenizer: &Tokenizer) -> anyhow::Result<()> {
    if !trained.has_tokenizer() || trained.tokenizer()?.digest() == tokenizer.digest() {
        return Ok(());
    }
    let folder = trained.path().display();
    let problem =
        UsageError::new(format!("the data was prepared with another tokenizer than {folder}"));
    Err(problem.with_hint("prepare it with the tokenizer.json of that folder").into())
}
