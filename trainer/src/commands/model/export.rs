//! `covey export`: writes a model as a folder for `transformers`.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use covey_model::hub::{ExportOptions, FloatDtype, export};

use crate::cli::{ExportArgs, ExportType};
use crate::system::error::{Result, UsageError};
use crate::system::signal::is_raised;
use crate::system::terminal::output::say;
use crate::training::ModelFolder;

pub(crate) fn run(arguments: &ExportArgs, interrupt: &AtomicBool) -> Result<()> {
    let format = match arguments.dtype {
        ExportType::Fp32 => FloatDtype::Fp32,
        ExportType::Bf16 => FloatDtype::Bf16,
        ExportType::Fp16 => FloatDtype::Fp16,
    };
    write(&arguments.checkpoint, &arguments.output, format, arguments.max_shard_size, interrupt)
}

/// Writes the model in `source`, with its tokenizer if it has one, to `output`. After an interrupt,
/// `output` is unchanged.
pub(crate) fn write(
    source: &Path,
    output: &Path,
    format: FloatDtype,
    max_shard_bytes: u64,
    interrupt: &AtomicBool,
) -> Result<()> {
    let model = ModelFolder::open(source, |warning| say(&warning))?;
    // Canonical paths, because `hub/../hub` is the same folder.
    if output
        .canonicalize()
        .is_ok_and(|output| model.path().canonicalize().is_ok_and(|path| path == output))
    {
        let problem =
            UsageError::new(format!("the output folder {} is the model folder", output.display()));
        return Err(problem.with_hint("choose another folder with `--output`").into());
    }
    let config = model.config();
    let options = ExportOptions { format, max_shard_bytes, token_ids: config.token_ids.clone() };
    export(output, &config.model, &options, |spec| {
        // Checked before each tensor. The error discards the staged export.
        if is_raised(interrupt) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
        }
        model.hub().read(spec).map(Cow::Owned).map_err(io::Error::other)
    })?;
    if model.has_tokenizer() {
        model.tokenizer()?.save(output)?;
    }
    say(&format!("exported {} to {}", model.path().display(), output.display()));
    Ok(())
}
