//! Where text goes: data to stdout, messages to stderr.

use std::io::{self, Write};

use crate::system::error::{Context, Result};

/// Writes a message for people to stderr, as one line.
pub(crate) fn say(text: &str) {
    // A closed stderr must not stop the command: its work does not depend on it.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes data to stdout.
///
/// # Errors
/// Errors of the stream, such as a closed pipe.
pub(crate) fn print(text: &str) -> Result<()> {
    io::stdout().lock().write_all(text.as_bytes()).context("cannot write to stdout")
}
