//! `covey eval`: scores a model on held-out text.

use std::sync::atomic::AtomicBool;

use covey_data::dataset::{Dataset, Split};
use serde_json::json;

use crate::cli::EvalArgs;
use crate::config::schema::Config;
use crate::eval::HeldOut;
use crate::system::device;
use crate::system::error::{Result, UsageError};
use crate::system::terminal::output::{print, say};
use crate::training::checkpoint::Checkpoint;
use crate::training::{Activity, ModelFolder};

pub(crate) fn run(arguments: &EvalArgs, interrupt: &AtomicBool) -> Result<()> {
    device::use_threads(arguments.device.threads)?;
    let device = device::open_one(&arguments.device.device)?;
    let model = ModelFolder::open(&arguments.model, |warning| say(&warning))?;
    let dataset = Dataset::open(&arguments.data)?;
    check_tokenizer(&model, &dataset)?;
    // Only the split that is read: digests of all training shards would take minutes.
    dataset.verify_split(Split::HeldOut)?;
    let length = length(arguments, &model)?;
    let most = arguments.windows.map_or(u64::MAX, |windows| windows as u64);
    let held_out =
        HeldOut::new(std::slice::from_ref(&dataset), length, most, arguments.batch_size)?;
    let (decoder, weights) = model.load(&device)?;

    let activity = Activity::new("scoring held-out text");
    let count = held_out.count();
    let score = held_out.score(&mut (&decoder, &weights), interrupt, |done| {
        activity.show(&format!("{done} of {count} windows"));
    })?;
    activity.finish(&format!("scored {} tokens in {count} windows of {length}", score.tokens));
    let figures = json!({
        "loss": score.loss(),
        "perplexity": score.perplexity(),
        "bits_per_byte": score.bits_per_byte(),
        "tokens": score.tokens,
        "bytes": score.bytes,
    });
    print(&format!("{figures:#}\n"))
}

/// Checks that data and model use the same tokenizer: token IDs of another tokenizer have other
/// meanings, so the loss would be meaningless.
fn check_tokenizer(model: &ModelFolder, dataset: &Dataset) -> Result<()> {
    let (known, used) = (model.config().model.vocab_size, dataset.manifest().vocab_size);
    let other =
        model.has_tokenizer() && model.tokenizer()?.digest() != dataset.manifest().tokenizer;
    if !other && used <= known {
        return Ok(());
    }
    let (data, model) = (dataset.folder().display(), model.path().display());
    let problem =
        UsageError::new(format!("the tokenizer of {data} differs from the one of {model}"));
    Err(problem.with_hint("prepare the text with the tokenizer.json of the model").into())
}

/// Returns the requested length, or the length in training, or the number of positions.
fn length(arguments: &EvalArgs, model: &ModelFolder) -> Result<usize> {
    let positions = model.config().model.max_positions;
    let length = arguments
        .sequence_length
        .or_else(|| {
            // A folder of the Hub is not a checkpoint and has no `run.toml`.
            let checkpoint = Checkpoint::open(model.path()).ok()?;
            let config =
                Config::from_toml(checkpoint.run_config(), &model.path().join("run.toml")).ok()?;
            Some(config.data.sequence_length)
        })
        .unwrap_or(positions);
    if length > positions {
        let problem = UsageError::new(format!(
            "windows of {length} tokens, but the model has {positions} positions"
        ));
        return Err(problem
            .with_hint(format!("use `--sequence-length {positions}` or less"))
            .into());
    }
    Ok(length)
}
