//! Precedence if several layers set the same key.

use covey::config::layers::{Layers, Origin, Purpose};

use crate::{file, meaning, variables};

fn origin(layers: Layers, key: &str) -> String {
    let resolved = layers.resolve(Purpose::Show).unwrap_or_else(|error| panic!("{error}"));
    resolved.origin(key).map(ToString::to_string).unwrap_or_default()
}

#[test]
fn every_layer_takes_precedence_over_those_below() {
    let text = "[optim]\nweight_decay = 0.2\nlearning_rate = 1e-5\n";
    let environment = [("COVEY_OPTIM__LEARNING_RATE", "2e-5")];
    let bottom = Layers::new();
    let preset = Layers::new().flag("--preset", "model.preset", "150m");
    let with_file = file(text).flag("--preset", "model.preset", "150m");
    let with_environment = with_file.clone().environment(variables(&environment));
    let with_flag = with_environment.clone().flag("--rate", "optim.learning_rate", "3e-5");
    let with_setting = with_flag.clone().set("optim.learning_rate=4e-5");

    let rate = |layers: &Layers| meaning(layers.clone()).optim.learning_rate;
    assert_eq!(origin(bottom, "optim.weight_decay"), "default");
    assert_eq!(origin(preset, "optim.learning_rate"), "preset 150m");
    assert_eq!(
        (rate(&with_file), &*origin(with_file, "optim.learning_rate")),
        (1e-5, "run.toml:3")
    );
    assert_eq!(
        (rate(&with_environment), &*origin(with_environment, "optim.learning_rate")),
        (2e-5, "COVEY_OPTIM__LEARNING_RATE")
    );
    assert_eq!((rate(&with_flag), &*origin(with_flag, "optim.learning_rate")), (3e-5, "--rate"));
    assert_eq!(
        (rate(&with_setting), &*origin(with_setting.clone(), "optim.learning_rate")),
        (4e-5, "--set")
    );
    assert_eq!(meaning(with_setting).optim.weight_decay, 0.2);
}

#[test]
fn the_order_of_calls_does_not_matter() {
    let variables = variables(&[("COVEY_TRAIN__STEPS", "7")]);
    let one = file("train.steps = 5").environment(variables.clone()).set("train.steps=9");
    let other = Layers::new()
        .set("train.steps=9")
        .environment(variables)
        .text("train.steps = 5", std::path::Path::new("run.toml"));
    assert_eq!(meaning(one), meaning(other));
}

#[test]
fn the_last_setting_of_a_key_counts() {
    assert_eq!(meaning(Layers::new().set("train.steps=5").set("train.steps=6")).train.steps, 6);
}

#[test]
fn the_preset_can_be_chosen_in_every_layer() {
    let environment = variables(&[("COVEY_MODEL__PRESET", "500m")]);
    let from_file = file("model.preset = \"150m\"");
    let from_environment = from_file.clone().environment(environment);
    let from_setting = from_environment.clone().set("model.preset=1b");
    let presets = [Layers::new(), from_file, from_environment, from_setting]
        .map(|layers| meaning(layers).model.preset);
    assert_eq!(presets, ["tiny", "150m", "500m", "1b"]);
}

#[test]
fn a_preset_sets_shape_and_training_defaults() {
    let layers = Layers::new().set("model.preset=150m");
    assert_eq!(origin(layers.clone(), "model.hidden_size"), "preset 150m");
    assert_eq!(origin(layers.clone(), "train.batch_size"), "preset 150m");
    assert_eq!(
        meaning(layers).model.shape.map(|shape| (shape.hidden_size, shape.num_hidden_layers)),
        Some((1024, 12))
    );
}

#[test]
fn a_field_overrides_the_preset_in_any_order() {
    let shape = meaning(file("[model]\nnum_hidden_layers = 3\npreset = \"150m\"\n"))
        .model
        .shape
        .expect("has a shape");
    assert_eq!((shape.num_hidden_layers, shape.hidden_size), (3, 1024));
}

#[test]
fn lists_are_replaced_as_a_whole() {
    let layers = file("data.sources = [{ path = \"a\" }, { path = \"b\" }]")
        .set("data.sources=[{path = \"c\", weight = 2}]");
    let sources = meaning(layers).data.sources;
    assert_eq!(
        sources.iter().map(|source| (source.path.to_str(), source.weight)).collect::<Vec<_>>(),
        [(Some("c"), 2.0)]
    );
}

#[test]
fn a_value_of_a_preset_can_be_removed() {
    let layers = Layers::new().flag("--preset", "model.preset", "covenant-72b");
    assert!(meaning(layers.clone()).schedule.anneal.is_some());
    assert_eq!(meaning(layers.set("schedule.anneal=none")).schedule.anneal, None);
}

#[test]
fn derived_values_follow_the_last_layer() {
    let config =
        meaning(file("train = { batch_size = 32, steps = 300 }").set("train.batch_size=12"));
    assert_eq!(config.train.micro_batch_size, 12);
    assert_eq!((config.schedule.warmup_steps, config.schedule.decay_steps), (15, 285));
}

#[test]
fn foreign_and_reserved_variables_are_ignored() {
    let foreign = variables(&[
        ("PATH", "x"),
        ("COVEY_REFERENCE", "x"),
        ("COVEY_UPDATE_DOCS", "1"),
        ("COVEY_LOG", "debug"),
        ("COVEY_WALLET_KEY", "x"),
        ("RECOVEY_X", ""),
    ]);
    assert_eq!(meaning(Layers::new().environment(foreign)), meaning(Layers::new()));
}

#[test]
fn a_value_that_is_replaced_is_not_checked() {
    assert_eq!(meaning(file("train.steps = \"many\"").set("train.steps=5")).train.steps, 5);
}

#[test]
fn origins_are_ordered_from_the_file_outwards() {
    let file = |line| Origin::File { path: "run.toml".into(), line };
    let order = [
        file(2),
        file(11),
        Origin::Environment("A".into()),
        Origin::Flag("--a".into()),
        Origin::Set,
    ];
    assert!(order.is_sorted());
}
