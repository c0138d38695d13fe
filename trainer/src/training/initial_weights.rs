//! The weights with which a run starts: new ones, a trained model, or a checkpoint of the run.

use std::ops::Range;
use std::path::Path;

use covey_data::tokenizer::Tokenizer;
use covey_model::config::{ModelConfig, ParameterSpec};
use covey_model::hub::HubConfig;
use covey_model::init::Initializer;

use super::model_folder::ModelFolder;
use crate::config::schema::Config;
use crate::system::error::{Context, Result, UsageError};
use crate::system::terminal::output::say;
use crate::training::checkpoint::{Checkpoint, NamedTensor};
use crate::training::learner::Learner;

/// The source of the weights, moments and counters at the start of a run.
pub(crate) struct Start<'a> {
    pub(crate) model: ModelConfig,
    trained: Option<ModelFolder>,
    checkpoint: Option<&'a Checkpoint>,
}

impl<'a> Start<'a> {
    /// Opens the source, and checks it against the configuration.
    pub(crate) fn find(
        config: &Config,
        tokenizer: &Tokenizer,
        checkpoint: Option<&'a Checkpoint>,
    ) -> Result<Self> {
        // A checkpoint has priority over `model.from`: a resumed run continues with its own
        // weights.
        if let Some(checkpoint) = checkpoint {
            let path = checkpoint.path().join("config.json");
            let model = HubConfig::parse(checkpoint.model_config(), &path)?.model;
            check_same_shape(config, tokenizer, &model, checkpoint.path())?;
            return Ok(Self { model, trained: None, checkpoint: Some(checkpoint) });
        }
        // Weights of a trained model start a new run: step 0, no moments.
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

    /// Creates a learner in this state.
    pub(crate) fn learner(self, config: &Config) -> Result<Learner> {
        let initializer = Initializer::new(config.run.seed, &self.model);
        let learner = Learner::open(&self.model, config, |spec, range| {
            self.weights(&initializer, spec, range)
        })?;
        let Some(checkpoint) = self.checkpoint else { return Ok(learner) };
        let state = checkpoint.state();
        let (step, tokens, updates) = (state.step, state.tokens, state.optimizer_steps);
        learner.resume_sharded(step, tokens, updates, |spec, range| {
            Ok(checkpoint.moments_range(&spec.name, range)?)
        })
    }

    /// Copies of all weights in canonical order.
    pub(crate) fn named_weights(&self, config: &Config) -> Result<Vec<NamedTensor>> {
        let initializer = Initializer::new(config.run.seed, &self.model);
        let parameters = self.model.parameters();
        parameters
            .iter()
            .map(|spec| {
                let values = self.weights(&initializer, spec, 0..spec.num_elements())?;
                Ok(NamedTensor { name: spec.name.clone(), shape: spec.shape.clone(), values })
            })
            .collect()
    }

    /// The values in `range`, in row-major order, of one weight.
    fn weights(
        &self,
        initializer: &Initializer,
        spec: &ParameterSpec,
        range: Range<usize>,
    ) -> Result<Vec<f32>> {
        if let Some(checkpoint) = self.checkpoint {
            return Ok(checkpoint.weight_range(&spec.name, range)?);
        }
        let mut numbers = vec![0.0; range.len()];
        match &self.trained {
            Some(trained) => trained.hub().read_range(spec, range.start, &mut numbers)?,
            // Each value depends on the seed and its index alone, so any range can be drawn.
            None => initializer.fill(spec, range.start as u64, &mut numbers),
        }
        Ok(numbers)
    }
}

/// Checks that the configured model is the model of the checkpoint.
///
/// A resumed run keeps its model, so a different configuration would be ignored silently.
fn check_same_shape(
    config: &Config,
    tokenizer: &Tokenizer,
    model: &ModelConfig,
    checkpoint: &Path,
) -> Result<()> {
    let Some(shape) = &config.model.shape else { return Ok(()) };
    if shape.model_config(tokenizer.vocab_size())? == *model {
        return Ok(());
    }
    let path = checkpoint.display();
    let problem =
        UsageError::new(format!("the model in the configuration differs from the model in {path}"));
    Err(problem
        .with_hint("restore the keys of `model`, or start a new run in another folder")
        .into())
}

/// Checks that the data uses the tokenizer of a trained model, if the model has one.
///
/// Other token IDs would make the trained embedding useless, and only the loss would show it.
fn check_same_tokenizer(trained: &ModelFolder, tokenizer: &Tokenizer) -> Result<()> {
    if !trained.has_tokenizer() || trained.tokenizer()?.digest() == tokenizer.digest() {
        return Ok(());
    }
    let folder = trained.path().display();
    let problem =
        UsageError::new(format!("the tokenizer of the data differs from the one in {folder}"));
    Err(problem.with_hint("prepare the data with the tokenizer.json in that folder").into())
}
