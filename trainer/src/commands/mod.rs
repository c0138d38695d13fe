//! The commands, one file each.

mod bench;
mod bucket;
pub mod config;
mod demo;
mod devices;
mod eval;
mod export;
mod generate;
mod init;
mod join;
mod ledger;
mod peer;
mod plan;
mod prepare;
mod standings;
mod status;
mod tokenizer;
mod train;
mod validate;
mod verify;

use std::io::{self, Write};
use std::sync::atomic::AtomicBool;

use anyhow::Context;

use crate::checkpoint::Found;
use crate::cli::{Cli, Command, TokenizerCommand};
use crate::interrupt;

/// Runs what the command line asks for.
///
/// # Errors
/// Whatever stopped the command; [`crate::diagnostics::report`] tells of it.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let interrupt = interrupt::catch()?;
    match &cli.command {
        Command::Demo(arguments) => demo::run(arguments, &interrupt),
        Command::Tokenizer(TokenizerCommand::Train(arguments)) => tokenizer::train(arguments, &interrupt),
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
fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().lock().write_all(text.as_bytes()).context("cannot write the output")
}

/// Damaged checkpoints are passed over, but not in silence.
fn warn_of_skipped(found: &Found) {
    for skipped in &found.skipped {
        say(&format!("warning: passed over {}: {}", skipped.path.display(), skipped.reason));
    }
}

/// Plays a future to its end, with timers and network.
fn on_runtime<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the network runtime")?.block_on(future)
}

/// Whether Ctrl-C has been pressed.
fn is_raised(interrupt: &AtomicBool) -> bool {
    interrupt.load(std::sync::atomic::Ordering::SeqCst)
}
