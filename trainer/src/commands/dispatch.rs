//! The commands, one file each.

use std::io::{self, Write};
use std::sync::atomic::AtomicBool;

use anyhow::Context;

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
use crate::system::signal;
use crate::training::checkpoint::Found;

/// Runs what the command line asks for.
///
/// # Errors
/// Whatever stopped the command; [`super::error_report::report`] tells of it.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
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

/// A line for the person at the keyboard; stdout is for data.
pub(crate) fn say(text: &str) {
    // Without a stderr there is nobody to talk to.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Data for whoever reads stdout.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().lock().write_all(text.as_bytes()).context("cannot write the output")
}

/// Damaged checkpoints are passed over, but not in silence.
pub(super) fn warn_of_skipped(found: &Found) {
    for skipped in &found.skipped {
        say(&format!("warning: passed over {}: {}", skipped.path.display(), skipped.reason));
    }
}

/// Plays a future to its end, with timers and network.
pub(super) fn on_runtime<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the network runtime")?.block_on(future)
}

/// Whether Ctrl-C has been pressed.
pub(super) fn is_raised(interrupt: &AtomicBool) -> bool {
    interrupt.load(std::sync::atomic::Ordering::SeqCst)
}
