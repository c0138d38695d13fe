//! `covey generate`: continues a text with a model.

use std::io::Write;
use std::sync::atomic::AtomicBool;

use covey_model::generation::{Sampling, TokenSampler};

use crate::cli::GenerateArgs;
use crate::generate::{StopReason, TextStream};
use crate::system::device;
use crate::system::error::{Context, Result};
use crate::system::terminal::output::say;
use crate::training::ModelFolder;

pub(crate) fn run(arguments: &GenerateArgs, interrupt: &AtomicBool) -> Result<()> {
    let sampler = TokenSampler::new(sampling(arguments), arguments.seed)?;
    device::use_threads(arguments.device.threads)?;
    let device = device::open_one(&arguments.device.device)?;
    let model = ModelFolder::open(&arguments.model, |warning| say(&warning))?;
    let tokenizer = model.tokenizer()?;
    let (decoder, weights) = model.load(&device)?;
    let ends = &model.config().token_ids.eos;
    let writer =
        TextStream { decoder: &decoder, weights: &weights, tokenizer: &tokenizer, sampler, ends };

    let mut stdout = std::io::stdout().lock();
    // The prompt is printed together with the first generated text, so nothing is printed if the
    // prompt is invalid.
    let mut prompt = Some(arguments.prompt.as_str());
    let ending = writer.write(&arguments.prompt, arguments.max_tokens, interrupt, |text| {
        let prompt = prompt.take().unwrap_or_default();
        let written =
            stdout.write_all(prompt.as_bytes()).and_then(|()| stdout.write_all(text.as_bytes()));
        written.and_then(|()| stdout.flush()).context("cannot write the text")
    })?;
    stdout.write_all(b"\n").context("cannot write the text")?;
    if ending == StopReason::Positions {
        say(&format!(
            "stopped at the last of the model's {} positions",
            decoder.config().max_positions
        ));
    }
    Ok(())
}

fn sampling(arguments: &GenerateArgs) -> Sampling {
    let GenerateArgs { temperature, top_k, top_p, greedy, .. } = *arguments;
    if greedy { Sampling::GREEDY } else { Sampling { temperature, top_k, top_p } }
}
