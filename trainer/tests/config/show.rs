//! What `covey config show` prints.

use std::path::Path;

use covey::config::{Config, Layers, Purpose};
use insta::assert_snapshot;

use crate::{file, meaning, variables};

/// Configs that between them use every kind of value.
fn samples() -> Vec<Layers> {
    let preset = |name: &str| Layers::new().flag("--preset", "model.preset", name);
    let full = r#"
        run = { name = "höhe", output = "a \"quoted\"\\path", seed = 9223372036854775807, threads = 2 }
        data.sources = [{ path = "a", weight = 0.30000000000000004 }, { path = "b" }]
        model.rope_scaling = { factor = 8, low_freq_factor = 1, high_freq_factor = 4, original_max_position_embeddings = 64 }
        optim = { clip_norm = "none", epsilon = 1.0e-300 }
        schedule = { kind = "wsd", anneal = { start = 5, warmup_steps = 0, peak_ratio = 1, decay_steps = 3 } }
    "#;
    let presets = ["tiny", "150m", "500m", "1b", "8b", "covenant-72b"].map(preset);
    presets.into_iter().chain([file(full), Layers::new().set("model.from=trained")]).collect()
}

#[test]
fn shown_config_reads_back_the_same() {
    for layers in samples() {
        let resolved = layers.resolve(Purpose::Show).unwrap_or_else(|error| panic!("{error}"));
        let shown = resolved.show();
        assert_eq!(meaning(file(&shown)), resolved.config, "{shown}");
    }
}

#[test]
fn stored_config_reads_back_the_same() {
    for layers in samples() {
        let config = meaning(layers);
        let stored = config.to_toml();
        let read = Config::from_toml(&stored, Path::new("config.toml")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((read.to_toml(), read), (stored, config));
    }
}

#[test]
fn serialised_config_reads_back_the_same() {
    for layers in samples() {
        let config = meaning(layers);
        let text = serde_json::to_string(&config).expect("is plain data");
        assert_eq!(serde_json::from_str::<Config>(&text).expect("is plain data"), config);
    }
}

#[test]
fn every_value_is_shown_with_its_place() {
    let layers = file("[train]\nsteps = 100\nbatch_size = 16\n\n[[data.sources]]\npath = \"prepared\"\n")
        .environment(variables(&[("COVEY_OPTIM__LEARNING_RATE", "0.001")]))
        .flag("--seed", "run.seed", 7)
        .set("optim.clip_norm=none")
        .set("model.preset=covenant-72b")
        .set("schedule.warmup_steps=10");
    let shown = layers.resolve(Purpose::Train).unwrap_or_else(|error| panic!("{error}")).show();
    assert_snapshot!(shown, @"");
}

#[test]
fn a_shape_that_a_folder_fixes_is_not_shown() {
    let shown = meaning(Layers::new().set("model.from=trained")).to_toml();
    let model: Vec<_> =
        shown.lines().skip_while(|line| *line != "[model]").take_while(|line| !line.is_empty()).collect();
    assert_eq!(model, ["[model]", "preset = \"tiny\"", "from = \"trained\""]);
}
