//! `covey config`, and the configuration layers of all commands.

use crate::cli::{ConfigArgs, ConfigCommand, OwnArgs};
use crate::config::checks::ConfigError;
use crate::config::layers::{Layers, Purpose, Resolved};
use crate::config::schema::key_list;
use crate::config::schema::presets::preset_table;
use crate::system::error::Result;
use crate::system::terminal::output::{print, say};

/// Prints the configuration, the presets, or all keys.
///
/// # Errors
/// An invalid configuration, or an error of stdout.
pub(crate) fn run(command: &ConfigCommand) -> Result<()> {
    let text = match command {
        ConfigCommand::Show(arguments) => resolve(layers(arguments), Purpose::Show)?.show(),
        ConfigCommand::Presets => preset_table(),
        ConfigCommand::Keys => key_list(),
    };
    print(&text)
}

/// The layers from the flags and the environment of this process.
pub(crate) fn layers(arguments: &ConfigArgs) -> Layers {
    let mut layers = own_layers(&arguments.own);
    if let Some(file) = &arguments.file {
        layers = layers.file(file);
    }
    if !arguments.data.is_empty() {
        layers = layers.sources_flag("--data", &arguments.data);
    }
    if let Some(from) = &arguments.from {
        layers = layers.path_flag("--from", "model.from", from);
    }
    with_flags(
        layers,
        [
            ("--preset", "model.preset", arguments.preset.clone()),
            ("--steps", "train.steps", arguments.steps.map(|steps| steps.to_string())),
            ("--seed", "run.seed", arguments.seed.map(|seed| seed.to_string())),
        ],
    )
}

/// The layers from the flags that every machine sets for itself, and from the environment.
pub(crate) fn own_layers(own: &OwnArgs) -> Layers {
    let mut layers = Layers::new().environment(std::env::vars_os());
    if let Some(output) = &own.output {
        layers = layers.path_flag("--output", "run.output", output);
    }
    let flags = [
        ("--device", "run.device", own.device.clone()),
        ("--threads", "run.threads", own.threads.map(|threads| threads.to_string())),
    ];
    // `--set` comes last, because it takes precedence over all other sources.
    own.set.iter().fold(with_flags(layers, flags), |layers, setting| layers.set(setting))
}

/// Resolves the layers of this process, and prints a note for each key with its former name.
///
/// A command that resolves its layers several times calls this function once, so each note appears
/// once.
///
/// # Errors
/// [`ConfigError`].
pub(crate) fn resolve(layers: Layers, purpose: Purpose) -> Result<Resolved, ConfigError> {
    let resolved = layers.resolve(purpose)?;
    for renamed in &resolved.renamed {
        say(&format!("note: {renamed}"));
    }
    Ok(resolved)
}

/// Adds the given flags on top of `layers`.
fn with_flags<const COUNT: usize>(
    layers: Layers,
    flags: [(&str, &str, Option<String>); COUNT],
) -> Layers {
    flags.into_iter().fold(layers, |layers, (flag, key, value)| match value {
        Some(value) => layers.flag(flag, key, value),
        None => layers,
    })
}
