//! `covey tokenizer train`: trains a tokenizer on text.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use covey_data::error::DataError;
use covey_data::prepare::readers::InputFiles;
use covey_data::tokenizer::Tokenizer;

use crate::cli::TokenizerTrainArgs;
use crate::system::error::{Result, UsageError};
use crate::system::signal::is_raised;
use crate::system::terminal::output::say;
use crate::training::Activity;

pub(crate) fn train(arguments: &TokenizerTrainArgs, interrupt: &AtomicBool) -> Result<()> {
    // Checked before the training, which can take minutes.
    let folder = folder_of(&arguments.output)?;
    let inputs = InputFiles::find(&arguments.inputs, &arguments.text_field)?;
    let activity = Activity::new("training the tokenizer");
    let tokenizer = learn(&inputs, arguments.vocab_size, &activity, interrupt)?;
    tokenizer.save(folder)?;
    say(&format!("wrote {}", arguments.output.display()));
    Ok(())
}

/// Trains a tokenizer on all documents. An interrupt stops it between two documents with
/// [`DataError::Cancelled`].
pub(crate) fn learn(
    inputs: &InputFiles,
    vocab_size: usize,
    activity: &Activity,
    interrupt: &AtomicBool,
) -> Result<Tokenizer> {
    let mut documents = 0;
    let until_stopped = inputs
        .documents()
        .map(|text| if is_raised(interrupt) { Err(DataError::Cancelled) } else { text });
    // Empty documents would only inflate the count.
    let with_text =
        until_stopped.filter(|text| text.as_ref().map_or(true, |text| !text.trim().is_empty()));
    let counted = with_text.inspect(|_| {
        documents += 1;
        activity.show(&format!("{documents} documents"));
    });
    let tokenizer = Tokenizer::train(counted, vocab_size)?;
    if documents == 0 {
        let (files, skipped) = (inputs.num_files(), inputs.skipped());
        return Err(DataError::EmptyCorpus { files, skipped }.into());
    }
    activity.finish(&format!(
        "trained a tokenizer of {} tokens on {documents} documents",
        tokenizer.vocab_size()
    ));
    Ok(tokenizer)
}

/// Returns the folder for `tokenizer.json` and its companion files.
fn folder_of(output: &Path) -> Result<&Path> {
    if output.file_name().is_none_or(|name| name != "tokenizer.json") {
        let problem =
            UsageError::new(format!("the file name of {} is not tokenizer.json", output.display()));
        return Err(problem
            .with_hint("end the path with `tokenizer.json`, the name that `transformers` expects")
            .into());
    }
    Ok(output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}
