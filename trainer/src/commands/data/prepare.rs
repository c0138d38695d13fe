//! `covey prepare`: turns text into shards of tokens.

use std::sync::atomic::AtomicBool;

use covey_data::dataset::Split;
use covey_data::error::DataError;
use covey_data::prepare::readers::InputFiles;
use covey_data::prepare::{Note, Pipeline, PrepareObserver, PrepareOptions, Prepared, Progress};
use covey_data::tokenizer::Tokenizer;

use crate::cli::PrepareArgs;
use crate::system::device;
use crate::system::error::Result;
use crate::system::terminal::output::say;
use crate::training::ByteProgress;

pub(crate) fn run(arguments: &PrepareArgs, interrupt: &AtomicBool) -> Result<()> {
    device::use_threads(arguments.threads)?;
    let tokenizer = Tokenizer::load(&arguments.tokenizer)?;
    let inputs = InputFiles::find(&arguments.inputs, &arguments.text_field)?;
    let options = PrepareOptions {
        shard_tokens: arguments.shard_tokens as u64,
        held_out_fraction: arguments.held_out,
        ..PrepareOptions::default()
    };
    let preparation = Pipeline { options, ..Pipeline::new(&inputs, &tokenizer, &arguments.output) };
    let again = "; run the same command again to continue";
    match prepare(&preparation, interrupt) {
        Err(error)
            if error
                .downcast_ref::<DataError>()
                .is_some_and(|error| matches!(error, DataError::Cancelled)) =>
        {
            // An interrupt is not a failure: finished shards stay, and the exit code is 0.
            say(&format!("stopped{again}"));
            Ok(())
        }
        outcome => outcome.map(|_| ()),
    }
}

/// Prepares with a progress bar and prints the result.
pub(crate) fn prepare(preparation: &Pipeline<'_>, interrupt: &AtomicBool) -> Result<Prepared> {
    let mut bar = Bar(ByteProgress::new("preparing", preparation.inputs.bytes()));
    let prepared = preparation.run(&mut bar, interrupt)?;
    bar.0.finish();
    let total = |split| prepared.manifest.totals_of(split);
    let (train, held_out) = (total(Split::Train), total(Split::HeldOut));
    let folder = preparation.folder.display();
    if !prepared.written {
        say(&format!("nothing to do: {folder} was prepared from the same text before"));
    }
    say(&format!(
        "{folder}: {} tokens of {} documents to train on, {} of {} held out",
        train.tokens, train.documents, held_out.tokens, held_out.documents
    ));
    Ok(prepared)
}

/// Shows the progress of a preparation.
struct Bar(ByteProgress);

impl PrepareObserver for Bar {
    fn progress(&mut self, progress: Progress) {
        self.0.show(progress.bytes_done, progress.tokens);
    }

    fn note(&mut self, note: Note) {
        self.0.note(match note {
            Note::Resumed { .. } => "continuing the interrupted preparation",
            Note::StartedAgain => {
                "the inputs have changed since it was interrupted: starting again"
            }
            _ => return,
        });
    }
}
