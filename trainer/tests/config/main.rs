//! Laws of the configuration.

mod errors;
mod precedence;
mod reference;
mod renamed;
mod run_scope;
mod show;
mod values;

use std::ffi::OsString;
use std::path::Path;

use covey::config::checks::ConfigError;
use covey::config::layers::{Layers, Purpose};
use covey::config::schema::Config;
use covey::system::error::Hint;

/// Width of a line in snapshots.
const WIDTH: usize = 92;

/// A file `run.toml` with this text.
fn file(text: &str) -> Layers {
    Layers::new().text(text, Path::new("run.toml"))
}

/// Environment variables.
fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn meaning(layers: Layers) -> Config {
    layers.resolve(Purpose::Show).unwrap_or_else(|error| panic!("{error}")).config
}

/// The message about layers with problems, wrapped.
fn complaint(layers: Layers) -> String {
    let shown = layers.resolve(Purpose::Show).map(|resolved| resolved.show());
    wrapped(&message(&shown.expect_err("there should be problems")))
}

fn message(error: &ConfigError) -> String {
    let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("error: {error}{hint}")
}

/// The text with long lines broken at spaces, for snapshots.
fn wrapped(text: &str) -> String {
    text.lines().map(wrapped_line).collect::<Vec<_>>().join("\n")
}

fn wrapped_line(line: &str) -> String {
    let (mut lines, mut rest) = (String::new(), line.to_owned());
    while rest.chars().count() > WIDTH {
        let start: String = rest.chars().take(WIDTH + 1).collect();
        let space = start.rfind(' ').unwrap_or(0);
        if start[..space].trim().is_empty() {
            break;
        }
        lines = lines + rest[..space].trim_end() + "\n";
        rest = format!("        {}", rest[space..].trim());
    }
    lines + &rest
}
