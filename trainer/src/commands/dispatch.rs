//! Runs the command that the command line names.

use crate::cli::{Cli, Command, TokenizerCommand};
use crate::commands::bench::bench;
use crate::commands::bucket;
use crate::commands::data::prepare;
use crate::commands::data::tokenizer;
use crate::commands::demo::demo;
use crate::commands::ledger::ledger;
use crate::commands::ledger::peer;
use crate::commands::machine::config;
use crate::commands::machine::devices;
use crate::commands::machine::plan;
use crate::commands::model::eval;
use crate::commands::model::export;
use crate::commands::model::generate;
use crate::commands::model::train;
use crate::commands::run::init;
use crate::commands::run::join;
use crate::commands::run::status;
use crate::commands::run::validate;
use crate::commands::run::verify;
use crate::system::error::Result;
use crate::system::logging;
use crate::system::signal;
use crate::system::terminal::output::say;
use crate::training::checkpoint::Found;

/// Runs one command.
///
/// # Errors
/// The error of the command; [`super::error_report::report`] prints it.
pub fn run(cli: &Cli) -> Result<()> {
    logging::init(cli.log.filter.as_deref(), cli.log.format)?;
    // Before any work, so a signal during the start also stops cleanly.
    let interrupt = signal::catch()?;
    match &cli.command {
        Command::Demo(arguments) => demo::run(arguments, &interrupt),
        Command::Tokenizer(TokenizerCommand::Train(arguments)) => {
            tokenizer::train(arguments, &interrupt)
        }
        Command::Prepare(arguments) => prepare::run(arguments, &interrupt),
        Command::Train(arguments) => train::run(arguments, &interrupt),
        Command::Generate(arguments) => generate::run(arguments, &interrupt),
        Command::Eval(arguments) => eval::run(arguments, &interrupt),
        Command::Export(arguments) => export::run(arguments, &interrupt),
        Command::Init(arguments) => init::run(arguments),
        Command::Join(arguments) => join::run(arguments, &interrupt),
        Command::Id(arguments) => validate::id(arguments),
        Command::Validate(arguments) => validate::run(arguments, &interrupt),
        Command::Verify(arguments) => verify::run(arguments, &interrupt),
        Command::Status(arguments) => status::run(arguments),
        Command::Peer(command) => peer::run(command),
        Command::Ledger(command) => ledger::run(command),
        Command::Bucket(command) => bucket::run(command, &interrupt),
        Command::Devices => devices::run(),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Config(command) => config::run(command),
        Command::Bench(command) => bench::run(command),
    }
}

/// Warns about damaged checkpoints that were skipped.
pub(super) fn warn_of_skipped(found: &Found) {
    for skipped in &found.skipped {
        say(&format!("warning: passed over {}: {}", skipped.path.display(), skipped.reason));
    }
}
