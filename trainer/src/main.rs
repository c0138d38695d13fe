//! The program `covey`: reads the command line, runs one command, turns its outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use covey::cli::Cli;
use covey::commands::error_report;

fn main() -> ExitCode {
    match covey::commands::dispatch::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has read enough, `covey generate … | head` for one.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => error_report::report(&error),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    error.root_cause().downcast_ref::<std::io::Error>().is_some_and(broken)
}
