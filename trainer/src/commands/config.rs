//! `covey config`: what is configured, and what could be.

use super::print;
use crate::cli::{ConfigArgs, ConfigCommand};
use crate::config::{Layers, Purpose, key_list, preset_table};

/// Prints what was asked for on stdout.
///
/// # Errors
/// A configuration with problems, or a stdout that cannot be written.
pub fn run(command: &ConfigCommand) -> anyhow::Result<()> {
    let text = match command {
        ConfigCommand::Show(arguments) => layers(arguments).resolve(Purpose::Show)?.show(),
        ConfigCommand::Presets => preset_table(),
        ConfigCommand::Keys => key_list(),
    };
    print(&text)
}

/// What the command line and the environment of this process say.
pub fn layers(arguments: &ConfigArgs) -> Layers {
    let mut layers = Layers::new().environment(std::env::vars_os());
    if let Some(file) = &arguments.file {
        layers = layers.file(file);
    }
    if !arguments.data.is_empty() {
        layers = layers.sources_flag("--data", &arguments.data);
    }
    for (flag, key, path) in [("--output", "run.output", &arguments.output), ("--from", "model.from", &arguments.from)]
    {
        if let Some(path) = path {
            layers = layers.path_flag(flag, key, path);
        }
    }
    let flags = [
        ("--preset", "model.preset", arguments.preset.clone()),
        ("--steps", "train.steps", arguments.steps.map(|steps| steps.to_string())),
        ("--seed", "run.seed", arguments.seed.map(|seed| seed.to_string())),
        ("--device", "run.device", arguments.device.clone()),
        ("--threads", "run.threads", arguments.threads.map(|threads| threads.to_string())),
    ];
    for (flag, key, value) in flags {
        if let Some(value) = value {
            layers = layers.flag(flag, key, value);
        }
    }
    arguments.set.iter().fold(layers, |layers, setting| layers.set(setting))
}
