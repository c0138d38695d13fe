//! Built-in presets: a shape from the model crate, and training defaults for it.

use std::fmt::Write;

use covey_model::config::ModelConfig;

use super::sections::Config;
use super::shape::{NetworkShape, RopeScaling};
use super::value_type::one_of;
use crate::config::checks::nearest;
use crate::config::layers::{
    ConfigEntry, Findings, Layer, Layers, Origin, Purpose, Value, document,
};
use crate::system::terminal::grouped;

/// The settings of each preset beyond its shape; other keys keep their defaults.
const TRAINING: &[(&str, &str)] = &[
    (
        "tiny",
        r#"
        data.sequence_length = 256
        train = { steps = 3000, batch_size = 8, log_every = 10, eval_every = 500 }
        optim.learning_rate = 4e-3
        checkpoint.every = 500
        rounds = { inner_steps = 15, commit_deadline = 300 }
        "#,
    ),
    (
        "150m",
        r#"
        data.sequence_length = 2048
        train = { steps = 20_000, batch_size = 128, micro_batch_size = 4, eval_every = 500 }
        optim.learning_rate = 6e-4
        "#,
    ),
    (
        "500m",
        r#"
        data.sequence_length = 2048
        train = { steps = 40_000, batch_size = 192, micro_batch_size = 4, eval_every = 500 }
        optim.learning_rate = 4e-4
        "#,
    ),
    (
        "1b",
        r#"
        data.sequence_length = 2048
        train = { steps = 60_000, batch_size = 192, micro_batch_size = 2, eval_every = 500 }
        optim.learning_rate = 4e-4
        "#,
    ),
    (
        "8b",
        r#"
        data.sequence_length = 2048
        train = { steps = 120_000, batch_size = 192, micro_batch_size = 1, eval_every = 1000 }
        optim.learning_rate = 3e-4
        "#,
    ),
    // Covenant-72B, arXiv 2603.08163, section 4.1 and appendix B. With 30 inner steps per round,
    // outer step 2740 is step 82,200, the relaunch at outer step 4040 is step 121,200, and the
    // anneal at outer step 6100 is step 183,000.
    (
        "covenant-72b",
        r#"
        model.vocab_size = 262_144
        data.sequence_length = 2048
        train = { steps = 185_700, batch_size = 192, micro_batch_size = 1, eval_every = 1000 }

        [optim]
        learning_rate = 1.2e-4
        beta1 = 0.9
        beta2 = 0.95
        epsilon = 1e-8
        weight_decay = 0.1
        clip_norm = 1.0
        [schedule]
        kind = "cosine"
        warmup_steps = 1500
        warmup_start_ratio = 1e-6
        final_ratio = 0.1
        decay_steps = 140_000
        flat_windows = [{ start = 82_200, length = 13_500 }]
        rewind = [{ at = 121_200, steps = 20_000 }]
        anneal = { start = 183_000, warmup_steps = 100, peak_ratio = 0.25, decay_steps = 4500 }
        [rounds]
        inner_steps = 30
        commit_deadline = 1500
        [sparseloco]
        outer_learning_rate = [{ from_round = 0, rate = 1.0 }, { from_round = 3667, rate = 0.65 }]
        "#,
    ),
];

/// The values of the preset `name`; `None` if there is no such preset.
pub(crate) fn layer(name: &str) -> Option<Layer> {
    let (known, training) = TRAINING.iter().find(|(preset, _)| *preset == name)?;
    let origin = Origin::Preset((*known).to_owned());
    let mut layer = shape_layer(&covey_model::config::preset(known)?, &origin);
    let mut findings = Findings::default();
    let training = document::layer(training, &|_| origin.clone(), &mut findings)
        .expect("built-in presets are TOML");
    debug_assert!(findings.is_empty(), "built-in presets use current names: {findings:?}");
    layer.extend(training);
    Some(layer)
}

/// The values of `model.preset`, from small to large.
fn names() -> Vec<&'static str> {
    TRAINING.iter().map(|(name, _)| *name).collect()
}

/// Checks the name of a preset; the error lists the presets.
pub(crate) fn preset_rule(text: &str) -> Result<(), String> {
    let names = names();
    if names.contains(&text) {
        return Ok(());
    }
    let meant =
        nearest(text, names.iter().copied()).map(|name| format!(", did you mean `{name}`?"));
    Err(format!("must be {}{}", one_of(&names), meant.unwrap_or_default()))
}

/// The keys of the shape.
fn shape_layer(model: &ModelConfig, origin: &Origin) -> Layer {
    // Left out: the vocabulary size, which comes from the data.
    let shape = NetworkShape::from(model);
    let mut values = vec![
        ("model.hidden_size", count(shape.hidden_size)),
        ("model.intermediate_size", count(shape.intermediate_size)),
        ("model.num_hidden_layers", count(shape.num_hidden_layers)),
        ("model.num_attention_heads", count(shape.num_attention_heads)),
        ("model.num_key_value_heads", count(shape.num_key_value_heads)),
        ("model.max_position_embeddings", count(shape.max_position_embeddings)),
        ("model.rms_norm_eps", Value::Number(shape.rms_norm_eps)),
        ("model.rope_theta", Value::Number(shape.rope_theta)),
        ("model.rope_scaling", scaling(shape.rope_scaling, origin)),
        ("model.tie_word_embeddings", Value::Boolean(shape.tie_word_embeddings)),
    ];
    // Set only if it differs from its rule, so a user who changes the width or the number of
    // heads gets the width of a head that follows.
    if shape.head_dim * shape.num_attention_heads != shape.hidden_size {
        values.push(("model.head_dim", count(shape.head_dim)));
    }
    values.into_iter().map(|(key, value)| (key, entry(value, origin))).collect()
}

fn scaling(scaling: Option<RopeScaling>, origin: &Origin) -> Value {
    let Some(scaling) = scaling else { return Value::Text("none".to_owned()) };
    let fields = [
        ("factor", Value::Number(scaling.factor)),
        ("low_freq_factor", Value::Number(scaling.low_freq_factor)),
        ("high_freq_factor", Value::Number(scaling.high_freq_factor)),
        ("original_max_position_embeddings", count(scaling.original_max_position_embeddings)),
    ];
    let fields = fields.into_iter();
    Value::Record(fields.map(|(name, value)| (name.to_owned(), entry(value, origin))).collect())
}

fn count(count: usize) -> Value {
    Value::Integer(i64::try_from(count).expect("presets are smaller than 2^63"))
}

fn entry(value: Value, origin: &Origin) -> ConfigEntry {
    ConfigEntry { value, origin: origin.clone() }
}

/// A table of the presets with their size and training defaults.
pub fn preset_table() -> String {
    let mut table = format!(
        "{:<13} {:>15}  {:>6}  {:>6}  {:>8}  {:>6}  {:>13}\n",
        "preset", "parameters", "layers", "hidden", "sequence", "batch", "learning rate"
    );
    for name in names() {
        let model = covey_model::config::preset(name).expect("every preset has a shape");
        let row = Layers::new().flag("--preset", "model.preset", name).resolve(Purpose::Show);
        let Config { data, train, optim, .. } =
            row.expect("built-in presets are without problems").config;
        writeln!(
            table,
            "{name:<13} {:>15}  {:>6}  {:>6}  {:>8}  {:>6}  {:>13e}",
            grouped(model.num_parameters()),
            model.num_layers,
            model.hidden_size,
            data.sequence_length,
            train.batch_size,
            optim.learning_rate,
        )
        .expect("writing to a string cannot fail");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_of_the_model_has_training_defaults() {
        assert_eq!(names(), covey_model::config::preset_names().collect::<Vec<_>>());
    }

    #[test]
    fn every_preset_uses_current_names() {
        for (name, training) in TRAINING {
            let mut findings = Findings::default();
            document::layer(training, &|_| Origin::Default, &mut findings).expect(name);
            assert!(findings.is_empty(), "{name}: {findings:?}");
        }
    }
}
