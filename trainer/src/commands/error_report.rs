//! Errors as the user sees them: message, causes, hint, and exit code.

use std::env;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use covey_comms::bucket::BucketError;
use covey_comms::bucket::server::ServerError;
use covey_comms::ledger::LedgerError;
use covey_comms::primitives::IdentityError;
use covey_comms::run::CommsError;
use covey_data::error::DataError;
use covey_model::error::{BatchError, HubError};
use covey_model::generation::SamplingError;
use covey_optim::codec::DecodeError;
use covey_optim::error::{OptimError, SettingError};
use covey_optim::fsdp::FsdpError;

use crate::config::checks::ConfigError;
use crate::eval::EvaluationError;
use crate::run::ReplicaError;
use crate::system::error::UsageError;
use crate::training::checkpoint::CheckpointError;
use crate::training::learner::LearnError;
use crate::training::{MetricsError, ModelFolderError};

/// Exit code of errors in the command line or the configuration.
const USAGE: u8 = 2;
/// Exit code of all other errors.
const FAILURE: u8 = 1;

/// Prints `error` to stderr and returns the exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // If stderr is closed, only the exit code remains.
    let _ = io::stderr().write_all(render(error, stderr_has_colour()).as_bytes());
    ExitCode::from(exit_code(error))
}

/// Returns the lines for `error`: the message, the causes that add something, and the hint.
///
/// ```text
/// error: no space left on device while writing runs/tiny/checkpoints/…
///   caused by: …
/// hint: free some space, …
/// ```
pub fn render(error: &anyhow::Error, colour: bool) -> String {
    let mut texts = Vec::<String>::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some errors include the text of their cause, and wrappers repeat the text of the wrapped
        // error.
        if !texts.iter().any(|said| said.contains(&cause)) {
            texts.push(cause);
        }
    }
    let mut lines = String::new();
    for (index, text) in texts.iter().enumerate() {
        lines += &match index {
            0 => format!("{} {text}\n", painted("error:", RED, colour)),
            _ => format!("  caused by: {}\n", text.replace('\n', "\n    ")),
        };
    }
    if let Some(hint) = error.chain().find_map(hint_of) {
        lines += &format!("{} {hint}\n", painted("hint:", CYAN, colour));
    }
    lines
}

/// Returns 2 for errors in the command line or the configuration, and 1 for all others.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(FAILURE)
}

/// Returns true if text on stderr may be coloured: stderr is a terminal, and `NO_COLOR` is not set.
pub fn stderr_has_colour() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

const RED: &str = "\x1b[1;31m";
const CYAN: &str = "\x1b[1;36m";
const PLAIN: &str = "\x1b[0m";

fn painted(text: &str, paint: &str, colour: bool) -> String {
    if colour { format!("{paint}{text}{PLAIN}") } else { text.to_owned() }
}

type Cause<'a> = &'a (dyn Error + 'static);

/// The outermost error of a known type decides. An impossible number in a model folder is therefore
/// not a usage error, although the same number on the command line is one.
fn code_of(cause: Cause<'_>) -> Option<u8> {
    let usage = cause.is::<UsageError>()
        || cause.is::<ConfigError>()
        || cause.is::<covey_model::error::ModelConfigError>()
        || cause.is::<SettingError>()
        || cause.is::<FsdpError>()
        || matches!(
            cause.downcast_ref(),
            Some(BucketError::InvalidUrl { .. } | BucketError::Misconfigured { .. })
        )
        || matches!(cause.downcast_ref(), Some(SamplingError::Setting { .. }))
        || matches!(cause.downcast_ref(), Some(DataError::Setting { .. }));
    let failure =
        cause.is::<HubError>() || cause.is::<CheckpointError>() || cause.is::<DataError>();
    if usage { Some(USAGE) } else { failure.then_some(FAILURE) }
}

fn hint_of(cause: Cause<'_>) -> Option<String> {
    advice(cause, UsageError::hint)
        .or_else(|| advice(cause, ConfigError::hint))
        .or_else(|| advice(cause, CheckpointError::hint))
        .or_else(|| advice(cause, MetricsError::hint))
        .or_else(|| advice(cause, DataError::hint))
        .or_else(|| advice(cause, HubError::hint))
        .or_else(|| advice(cause, ModelFolderError::hint))
        .or_else(|| advice(cause, LearnError::hint))
        .or_else(|| advice(cause, EvaluationError::hint))
        .or_else(|| advice(cause, BatchError::hint))
        .or_else(|| advice(cause, SamplingError::hint))
        .or_else(|| advice(cause, OptimError::hint))
        .or_else(|| advice(cause, FsdpError::hint))
        .or_else(|| advice(cause, CommsError::hint))
        .or_else(|| advice(cause, LedgerError::hint))
        .or_else(|| advice(cause, BucketError::hint))
        .or_else(|| advice(cause, IdentityError::hint))
        .or_else(|| advice(cause, ServerError::hint))
        .or_else(|| advice(cause, ReplicaError::hint))
        .or_else(|| advice(cause, DecodeError::hint))
}

fn advice<E: Error + 'static>(
    cause: Cause<'_>,
    hint: impl FnOnce(&E) -> Option<String>,
) -> Option<String> {
    cause.downcast_ref().and_then(hint)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use anyhow::Context;

    use super::*;

    fn full_disk() -> CheckpointError {
        let source =
            io::Error::new(io::ErrorKind::StorageFull, "No space left on device (os error 28)");
        CheckpointError::NoSpace { path: PathBuf::from("runs/tiny/state.json"), source }
    }

    #[test]
    fn an_error_shows_message_cause_and_hint() {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "permission denied");
        let path = PathBuf::from("runs/tiny/metrics.jsonl");
        let error = anyhow::Error::from(MetricsError { action: "write", path, source })
            .context("training stopped");
        let expected = "error: training stopped\n  \
                        caused by: cannot write runs/tiny/metrics.jsonl: permission denied\n\
                        hint: choose a folder that you may write to with `--output`\n";
        assert_eq!(render(&error, false), expected);
    }

    #[test]
    fn a_cause_in_the_message_is_not_repeated() {
        let error = Err::<(), _>(full_disk()).with_context(|| full_disk().to_string()).unwrap_err();
        assert_eq!(render(&error, false).matches("no space left").count(), 1);
    }

    #[test]
    fn lines_of_a_cause_are_indented() {
        let error = anyhow::anyhow!("2 problems\n  first\n  second").context("cannot train");
        let expected = "error: cannot train\n  caused by: 2 problems\n      first\n      second\n";
        assert_eq!(render(&error, false), expected);
    }

    #[test]
    fn only_usage_errors_exit_with_2() {
        let usage = UsageError::new("nothing to train on").with_hint("name a folder with `--data`");
        assert_eq!(exit_code(&usage.into()), 2);
        let config = ConfigError::NotFound { path: PathBuf::from("run.toml") };
        assert_eq!(exit_code(&anyhow::Error::from(config).context("cannot start")), 2);
        assert_eq!(exit_code(&full_disk().into()), 1);
        assert_eq!(exit_code(&anyhow::anyhow!("something else")), 1);
    }

    #[test]
    fn colour_only_adds_escape_codes() {
        let error = anyhow::Error::from(full_disk());
        let coloured = render(&error, true);
        assert_ne!(coloured, render(&error, false));
        assert_eq!(
            [RED, CYAN, PLAIN].iter().fold(coloured, |text, paint| text.replace(paint, "")),
            render(&error, false)
        );
    }
}
