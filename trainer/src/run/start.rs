//! Where a run begins: fresh weights, a trained model, or a checkpoint of its own.

use std::path::Path;

use anyhow::Context;
use burn::tensor::Device;
use covey_data::Tokenizer;
use covey_model::hub::HubConfig;
use covey_model::{Decoder, Initializer, ModelConfig, Weights};
use covey_optim::{AdamWState, Moments};

use crate::checkpoint::Checkpoint;
use crate::commands::say;
use crate::config::Config;
use crate::diagnostics::UsageError;
use crate::learner::Learner;
use crate::model_folder::{ModelFolder, flat_tensor};

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
            return Ok(Self { model: trained.config().model.clone(), trained: Some(trained), checkpoint: None });
        }
        let shape = config.model.shape.as_ref().context("a model is either a folder or a shape")?;
        Ok(Self { model: shape.model_config(tokenizer.vocab_size())?, trained: None, checkpoint: None })
    }

    /// A learner that stands there.
    pub(crate) fn learner(self, config: &Config, device: &Device) -> anyhow::Result<Learner> {
        let weights = self.weights(config, device)?;
        let parameters = self.model.parameters();
        let learner = Learner::new(Decoder::new(self.model, device), weights, config);
        let Some(checkpoint) = self.checkpoint else { return Ok(learner) };
        let state = checkpoint.state();
        let mut moments = Vec::new();
        for spec in parameters.iter() {
            if let Some(own) = checkpoint.moments(&spec.name)? {
                moments.push(Moments { first: own.first, second: own.second });
            }
        }
        let optimizer = AdamWState { steps: state.optimizer_steps, moments };
        Ok(learner.at(state.step, state.tokens, optimizer, config))
    }

    pub(crate) fn weights(&self, config: &Config, device: &Device) -> anyhow::Result<Weights> {
        let parameters = self.model.parameters();
        if let Some(checkpoint) = self.checkpoint {
            return parameters.try_map(|spec| Ok(flat_tensor(checkpoint.weight(&spec.name)?.values, device)));
        }
        if let Some(trained) = &self.trained {
            return Ok(trained.weights(device)?);
        }
        let initializer = Initializer::new(config.run.seed, &self.model);
        Ok(parameters.map(|spec| flat_tensor(initializer.tensor(spec), device)))
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
    let problem = UsageError::new(format!("the configuration describes another network than the one in {path}"));
    Err(problem.with_hint("leave the keys of `model` as they were, or begin a new run in another folder").into())
}

fn check_same_tokenizer(trained: &ModelFolder, tokenizer: &Tokenizer) -> anyhow::Result<()> {
    if !trained.has_tokenizer() || trained.tokenizer()?.digest() == tokenizer.digest() {
        return Ok(());
    }
    let folder = trained.path().display();
    let problem = UsageError::new(format!("the data was prepared with another tokenizer than {folder}"));
    Err(problem.with_hint("prepare it with the tokenizer.json of that folder").into())
}
