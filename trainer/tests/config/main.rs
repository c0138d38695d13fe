//! Laws of the configuration.

mod errors;
mod precedence;
mod reference;
mod show;
mod values;

use std::ffi::OsString;
use std::path::Path;

use covey::config::checks::ConfigError;
use covey::config::layers::{Layers, Purpose};
use covey::config::schema::Config;

/// A file `run.toml` with this text.
fn file(text: &str) -> Layers {
    Layers::new().text(text, Path::new("run.toml"))
}

/// Variables as the environment hands them over.
fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn meaning(layers: Layers) -> Config {
    layers.resolve(Purpose::Show).unwrap_or_else(|error| panic!("{error}")).config
}

/// What a person would read.
fn complaint(layers: Layers) -> String {
    message(
        &layers
            .resolve(Purpose::Show)
            .map(|resolved| resolved.show())
            .expect_err("should be refused"),
    )
}

fn message(error: &ConfigError) -> String {
    let hint = error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("error: {error}{hint}")
}
