//! The files that make a checkpoint a Hugging Face model: `config.json` and the tokenizer.

use covey_data::tokenizer::Tokenizer;
use covey_model::config::ModelConfig;
use covey_model::hub::{FloatDtype, HubConfig, TokenIds};

use crate::training::checkpoint::ExtraFile;

/// The contents of `config.json` for a model that is trained with `tokenizer`.
pub fn hub_config(model: &ModelConfig, tokenizer: &Tokenizer) -> HubConfig {
    // One token both starts and ends a text, as in GPT-2: documents are separated by it in
    // training.
    let end = tokenizer.end_of_text();
    HubConfig {
        model: model.clone(),
        token_ids: TokenIds { bos: end, eos: end.into_iter().collect() },
        format: Some(FloatDtype::Fp32),
        tying_is_stated: true,
    }
}

/// The files of a tokenizer, with the names that `transformers` expects.
pub(crate) fn tokenizer_files(tokenizer: &Tokenizer) -> Vec<ExtraFile> {
    tokenizer
        .files()
        .into_iter()
        .map(|(name, bytes)| ExtraFile { name: name.to_owned(), bytes })
        .collect()
}
