//! The values of a resolved config.

use std::path::Path;

use covey::config::layers::{Layers, Purpose};
use covey::config::schema::{KEYS, ScheduleKind};
use covey_optim::inner::{FlatWindow, Rewind};

use crate::{file, meaning, variables};

#[test]
fn the_covenant_recipe_is_the_published_one() {
    let config = meaning(Layers::new().flag("--preset", "model.preset", "covenant-72b"));
    let model = config.model.shape.expect("has a shape").model_config(1).expect("is valid");
    assert_eq!(model.num_parameters(), 72_747_327_488);
    let (optim, schedule) = (config.optim, config.schedule);
    assert_eq!(
        (optim.learning_rate, optim.beta1, optim.beta2, optim.epsilon),
        (1.2e-4, 0.9, 0.95, 1e-8)
    );
    assert_eq!((optim.weight_decay, optim.clip_norm), (0.1, Some(1.0)));
    assert_eq!((config.data.sequence_length, config.train.batch_size), (2048, 192));
    assert_eq!(
        (schedule.kind, schedule.warmup_steps, schedule.decay_steps),
        (ScheduleKind::Cosine, 1500, 140_000)
    );
    assert_eq!((schedule.warmup_start_ratio, schedule.final_ratio), (1e-6, 0.1));
    assert_eq!(schedule.flat_windows, [FlatWindow { start: 82_200, length: 13_500 }]);
    assert_eq!(schedule.rewind, [Rewind { at: 121_200, steps: 20_000 }]);
    let anneal = schedule.anneal.expect("anneals");
    assert_eq!((anneal.start, anneal.warmup_steps, anneal.decay_steps), (183_000, 100, 4500));
    assert_eq!(anneal.peak_ratio, 0.25);
}

#[test]
fn the_covenant_schedule_passes_through_the_published_rates() {
    let schedule =
        meaning(Layers::new().flag("--preset", "model.preset", "covenant-72b")).schedule();
    assert_eq!(schedule.check(), []);
    let rate = |step| schedule.learning_rate(step);
    assert_eq!((rate(0), rate(1500)), (1.2e-4 * 1e-6, 1.2e-4));
    assert_eq!(rate(82_200), rate(95_700));
    assert_eq!(rate(121_200), rate(101_200));
    assert_eq!((rate(183_000), rate(183_100), rate(187_600)), (0.0, 1.2e-4 * 0.25, 0.0));
}

#[test]
fn every_kind_of_schedule_has_its_shape() {
    let peak_and_end = |kind: &str| {
        let run = "train.steps = 1000\noptim.learning_rate = 1.0";
        let text = format!("{run}\nschedule = {{ kind = \"{kind}\", final_ratio = 0.5 }}");
        let schedule = meaning(file(&text)).schedule();
        (schedule.learning_rate(50), schedule.learning_rate(1000))
    };
    assert_eq!(
        ["constant", "cosine", "wsd"].map(peak_and_end),
        [(1.0, 1.0), (1.0, 0.5), (1.0, 0.5)]
    );
}

#[test]
fn the_constants_of_adamw_are_those_of_the_config() {
    let adamw =
        meaning(file("optim = { beta1 = 0.5, beta2 = 0.6, epsilon = 0.7, weight_decay = 0.8 }"))
            .adamw();
    assert_eq!((adamw.beta1, adamw.beta2, adamw.epsilon, adamw.weight_decay), (0.5, 0.6, 0.7, 0.8));
}

#[test]
fn every_key_can_be_set_by_its_variable() {
    let shown = meaning(Layers::new()).to_toml();
    let table: toml::Table = toml::from_str(&shown).expect("is TOML");
    for key in KEYS {
        let (group, name) = key.parts();
        let value = table[group][name].to_string();
        let config = meaning(Layers::new().environment(variables(&[(&key.variable(), &value)])));
        assert_eq!(config, meaning(Layers::new()), "{}={value}", key.variable());
    }
}

#[test]
fn a_model_folder_determines_the_shape() {
    let config = meaning(Layers::new().path_flag("--from", "model.from", Path::new("trained")));
    assert_eq!(
        (config.model.shape, config.model.from.as_deref()),
        (None, Some(Path::new("trained")))
    );
}

#[test]
fn the_vocabulary_is_that_of_the_data_unless_named() {
    let vocabulary = |layers: Layers| {
        meaning(layers)
            .model
            .shape
            .and_then(|shape| shape.model_config(777).ok())
            .map(|model| model.vocab_size)
    };
    assert_eq!(vocabulary(Layers::new()), Some(777));
    assert_eq!(vocabulary(Layers::new().set("model.vocab_size=1000")), Some(1000));
}

#[test]
fn the_width_of_a_head_follows_width_and_heads() {
    let width = |layers: Layers| meaning(layers).model.shape.map(|shape| shape.head_dim);
    let narrow = Layers::new().set("model.hidden_size=96").set("model.num_attention_heads=6");
    let narrow = narrow.set("model.num_key_value_heads=3");
    assert_eq!(width(narrow.clone()), Some(16));
    assert_eq!(width(narrow.set("model.head_dim=32")), Some(32));
}

#[test]
fn a_word_sets_no_value() {
    let config =
        meaning(file("optim.clip_norm = \"none\"\ntrain.eval_every = \"none\"\nrun.threads = 3"));
    assert_eq!(
        (config.optim.clip_norm, config.train.eval_every, config.run.threads),
        (None, None, Some(3))
    );
    assert_eq!(meaning(Layers::new().set("run.threads=auto")).run.threads, None);
}

#[test]
fn the_output_folder_is_named_after_the_run() {
    let output = |layers: Layers| meaning(layers).run.output;
    assert_eq!(output(Layers::new().set("run.name=whale")), Path::new("runs/whale"));
    assert_eq!(
        output(Layers::new().path_flag("--output", "run.output", Path::new("elsewhere"))),
        Path::new("elsewhere")
    );
}

#[test]
fn text_needs_no_quotes_on_the_command_line() {
    assert_eq!(meaning(Layers::new().set("run.name=2026")).run.name, "2026");
    assert_eq!(meaning(Layers::new().set("run.name = \"2026\"")).run.name, "2026");
    assert_eq!(meaning(Layers::new().set("run.output=a=b")).run.output, Path::new("a=b"));
}

#[test]
fn folders_given_as_flags_have_equal_weights() {
    let sources =
        meaning(Layers::new().sources_flag("--data", &["a".into(), "b".into()])).data.sources;
    assert_eq!(sources.iter().map(|source| source.weight).collect::<Vec<_>>(), [1.0, 1.0]);
}

#[test]
fn the_decay_fills_the_steps_after_warmup_and_stable_phase() {
    let schedule = |text| {
        let schedule = meaning(file(text)).schedule;
        (schedule.warmup_steps, schedule.stable_steps, schedule.decay_steps)
    };
    assert_eq!(schedule("train.steps = 1000\nschedule.kind = \"wsd\""), (50, 750, 200));
    assert_eq!(
        schedule("train.steps = 1000\nschedule = { kind = \"wsd\", stable_steps = 500 }"),
        (50, 500, 450)
    );
    assert_eq!(
        schedule("train.steps = 1000\nschedule = { kind = \"wsd\", decay_steps = 300 }"),
        (50, 650, 300)
    );
    assert_eq!(
        schedule("train.steps = 1000\nschedule.flat_windows = [{ start = 1, length = 100 }]"),
        (50, 0, 850)
    );
}

#[test]
fn the_gauntlets_constants_are_those_of_its_own_crate() {
    let config = Layers::new().resolve(Purpose::Show).unwrap().config;
    assert_eq!(config.gauntlet, covey_comms::gauntlet::GauntletConfig::default());
    let layers = Layers::new().flag("test", "gauntlet.penalties", "{ undelivered = [0.5, 0.25] }");
    let complaint = layers.resolve(Purpose::Show).unwrap_err().to_string();
    assert!(
        complaint.contains("must be a list of 3 numbers at least 0 and at most 1"),
        "{complaint}"
    );
}
