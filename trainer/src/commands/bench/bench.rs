//! `covey bench`: measurements for the comparison scripts. Hidden from `--help`.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use crate::cli::BenchCommand;
use crate::commands::bench::outer;
use crate::commands::bench::training;
use crate::commands::bench::validation;
use crate::system::device;
use crate::system::error::Result;
use crate::training::ModelFolder;

pub(crate) fn run(command: &BenchCommand) -> Result<()> {
    let figures = match command {
        BenchCommand::Train(arguments) => training::figures(arguments)?,
        BenchCommand::Logits { model, tokens } => logits(model, tokens)?,
        BenchCommand::Outer(arguments) => return outer::run(arguments),
        BenchCommand::Validate(arguments) => validation::figures(arguments)?,
        BenchCommand::PseudoGradients { output, outer } => {
            return outer::write_pseudo_gradients(outer, output);
        }
    };
    writeln!(std::io::stdout().lock(), "{figures}")?;
    Ok(())
}

/// Returns the logits of every position of one window, for comparison with other programs.
fn logits(model: &Path, tokens: &[u32]) -> Result<serde_json::Value> {
    let device = device::open_one("cpu")?;
    let (decoder, weights) = ModelFolder::open(model, |_| {})?.load(&device)?;
    let logits = decoder.logits(&weights, tokens, 1)?.into_data();
    let logits: Vec<f32> = logits.try_into_vec().expect("logits are fp32");
    let rows: Vec<&[f32]> = logits.chunks(decoder.config().vocab_size).collect();
    Ok(json!({ "logits": rows }))
}
