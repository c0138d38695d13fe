//! Errors as the user sees them: message, causes, hint, and exit code.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::system::error::Failure;

/// Exit code of errors in the command line or the configuration.
const USAGE: u8 = 2;
/// Exit code of all other errors.
const FAILURE: u8 = 1;

/// Prints `error` to stderr and returns the exit code.
pub fn report(error: &Failure) -> ExitCode {
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
pub fn render(error: &Failure, colour: bool) -> String {
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
    if let Some(hint) = error.hint() {
        lines += &format!("{} {hint}\n", painted("hint:", CYAN, colour));
    }
    lines
}

/// Returns 2 for errors in the command line or the configuration, and 1 for all others.
pub fn exit_code(error: &Failure) -> u8 {
    if error.is_usage() { USAGE } else { FAILURE }
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::checks::ConfigError;
    use crate::system::error::{Context, Failure, UsageError};
    use crate::training::MetricsError;
    use crate::training::checkpoint::CheckpointError;

    fn full_disk() -> CheckpointError {
        let source =
            io::Error::new(io::ErrorKind::StorageFull, "No space left on device (os error 28)");
        CheckpointError::NoSpace { path: PathBuf::from("runs/tiny/state.json"), source }
    }

    #[test]
    fn an_error_shows_message_cause_and_hint() {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "permission denied");
        let path = PathBuf::from("runs/tiny/metrics.jsonl");
        let error = Failure::from(MetricsError { action: "write", path, source })
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
        let error = Failure::new("2 problems\n  first\n  second").context("cannot train");
        let expected = "error: cannot train\n  caused by: 2 problems\n      first\n      second\n";
        assert_eq!(render(&error, false), expected);
    }

    #[test]
    fn only_usage_errors_exit_with_2() {
        let usage = UsageError::new("nothing to train on").with_hint("name a folder with `--data`");
        assert_eq!(exit_code(&usage.into()), 2);
        let config = ConfigError::NotFound { path: PathBuf::from("run.toml") };
        assert_eq!(exit_code(&Failure::from(config).context("cannot start")), 2);
        assert_eq!(exit_code(&full_disk().into()), 1);
        assert_eq!(exit_code(&Failure::new("something else")), 1);
    }

    #[test]
    fn colour_only_adds_escape_codes() {
        let error = Failure::from(full_disk());
        let coloured = render(&error, true);
        assert_ne!(coloured, render(&error, false));
        assert_eq!(
            [RED, CYAN, PLAIN].iter().fold(coloured, |text, paint| text.replace(paint, "")),
            render(&error, false)
        );
    }
}
