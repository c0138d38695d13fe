//! The program `covey`: parses the command line, runs one command, and turns the result into an
//! exit code.

use covey::system::error::Failure;
use std::process::ExitCode;

use clap::Parser;
use covey::cli::Cli;
use covey::commands::error_report;

fn main() -> ExitCode {
    match covey::commands::dispatch::run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has closed the pipe, as `head` does in `covey generate … |
        // head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => error_report::report(&error),
    }
}

fn is_broken_pipe(error: &Failure) -> bool {
    let broken = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    error.root_cause().downcast_ref::<std::io::Error>().is_some_and(broken)
}
