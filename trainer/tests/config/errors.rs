//! The messages about configurations with problems.

use std::fs;
use std::path::Path;

use covey::config::checks::ConfigError;
use covey::config::layers::{Layers, Purpose};
use insta::assert_snapshot;

use crate::{complaint, file, message, variables, wrapped};

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let text = r#"
        [train]
        steps = 0
        batch_size = "big"
        step = 3

        [optim]
        learning_rate = -1.0
    "#;
    assert_snapshot!(complaint(file(text)), @r#"
    error: 4 problems in run.toml
      line 3  train.steps = 0             must be at least 1
      line 4  train.batch_size = "big"    must be a whole number, at least 1
      line 5  train.step = 3              unknown key, did you mean `train.steps`?
      line 8  optim.learning_rate = -1.0  must be above 0
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn problems_are_reported_with_their_origin() {
    let layers = file("train.steps = 1.5")
        .environment(variables(&[
            ("COVEY_TRAIN__STEP", "3"),
            ("COVEY_STEPS", "4"),
            ("COVEY_OPTIM__BETA1", "1"),
        ]))
        .flag("--threads", "run.threads", 0)
        .set("schedule.final_ratio=nan")
        .set("schedule");
    assert_snapshot!(complaint(layers), @r#"
    error: 7 problems in the configuration
      run.toml:1          train.steps = 1.5           must be a whole number, at least 1
      COVEY_OPTIM__BETA1  optim.beta1 = 1             must be at least 0 and below 1
      COVEY_STEPS         steps = 4                   unknown key, did you mean
            `COVEY_TRAIN__STEPS`?
      COVEY_TRAIN__STEP   train.step = 3              unknown key, did you mean
            `COVEY_TRAIN__STEPS`?
      --threads           run.threads = 0             must be at least 1, or "auto"
      --set               schedule                    must be KEY=VALUE
      --set               schedule.final_ratio = nan  must be finite
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn a_wrong_type_is_reported_with_the_right_one() {
    let text = r#"
        run = { name = 5, seed = -1, device = "gpu", threads = "some" }
        model = { tie_word_embeddings = "yes", rope_scaling = 8.0 }
        data.sources = "prepared"
        train = { steps = 99999999999999999999, precision = "bf16", eval_every = 2026-01-01 }
        schedule.kind = "cosin"
    "#;
    assert_snapshot!(complaint(file(text)), @r#"
    error: 10 problems in run.toml
      line 2  run.device = "gpu"                  must be `cpu`, `cpu:4` for four shards on it,
            or GPUs as `cuda:0`, `cuda:0-7`, `cuda:0,2`, `wgpu:0`
      line 2  run.name = 5                        must be a name, in quotes
      line 2  run.seed = -1                       must be at least 0
      line 2  run.threads = "some"                must be a whole number, at least 1, or "auto"
      line 3  model.rope_scaling = 8.0            must be { factor, low_freq_factor,
            high_freq_factor, original_max_position_embeddings }, or "none"
      line 3  model.tie_word_embeddings = "yes"   must be `true` or `false`
      line 4  data.sources = "prepared"           must be a list of { path, weight }
      line 5  train.eval_every = 2026-01-01       must not be a date
      line 5  train.steps = 99999999999999999999  must fit into 63 bits
      line 6  schedule.kind = "cosin"             must be "constant", "cosine" or "wsd", did you
            mean `cosine`?
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn names_cannot_leave_the_folder_of_runs() {
    assert_snapshot!(complaint(Layers::new().set("run.name=../other")), @r#"
    error: 1 problem in the configuration
      --set  run.name = "../other"  must be letters, digits, `-`, `_` and `.`, not starting with
            `.`
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn a_number_out_of_range_is_reported_with_the_range() {
    let text = r#"
        [optim]
        learning_rate = 0
        beta1 = 1.0
        beta2 = -0.1
        epsilon = inf
        weight_decay = nan
        clip_norm = 0

        [schedule]
        final_ratio = 1.5
    "#;
    assert_snapshot!(complaint(file(text)), @r#"
    error: 7 problems in run.toml
      line 3   optim.learning_rate = 0     must be above 0
      line 4   optim.beta1 = 1.0           must be at least 0 and below 1
      line 5   optim.beta2 = -0.1          must be at least 0 and below 1
      line 6   optim.epsilon = inf         must be finite
      line 7   optim.weight_decay = nan    must be finite
      line 8   optim.clip_norm = 0         must be above 0, or "none"
      line 11  schedule.final_ratio = 1.5  must be at least 0 and at most 1
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn unknown_keys_and_groups_are_reported_with_the_closest_name() {
    let text = r#"
        steps = 5

        [trian]
        steps = 5

        [zebra]
        stripes = 1

        [model]
        hiden_size = 5
        learning_rate = 1.0
        colour = "red"
        rope_scaling.factr = 2.0
    "#;
    assert_snapshot!(complaint(file(text)), @r#"
    error: 11 problems in run.toml
      line 2   steps = 5                                            unknown key, did you mean
            `train.steps`?
      line 4   [trian]                                              unknown group, did you mean
            `[train]`?
      line 7   [zebra]                                              unknown group, there are
            run, model, data, train, memory, optim, schedule, checkpoint, rounds, gauntlet,
            sparseloco, comms
      line 11  model.hiden_size = 5                                 unknown key, did you mean
            `model.hidden_size`?
      line 12  model.learning_rate = 1.0                            unknown key, did you mean
            `optim.learning_rate`?
      line 13  model.colour = "red"                                 unknown key
      line 14  model.rope_scaling.factor                            is missing, must be a number
            above 0
      line 14  model.rope_scaling.factr = 2.0                       unknown field, did you mean
            `factor`?
      line 14  model.rope_scaling.high_freq_factor                  is missing, must be a number
            above 0
      line 14  model.rope_scaling.low_freq_factor                   is missing, must be a number
            above 0
      line 14  model.rope_scaling.original_max_position_embeddings  is missing, must be a whole
            number, at least 1
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn a_group_is_not_a_value() {
    assert_snapshot!(complaint(file("train = 5")), @r#"
    error: 1 problem in run.toml
      line 1  train = 5  is a group, set its keys under `[train]`
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn fields_of_records_cannot_be_set_alone() {
    assert_snapshot!(complaint(Layers::new().set("model.rope_scaling.factor=8")), @r#"
    error: 1 problem in the configuration
      --set  model.rope_scaling.factor = 8  is part of `model.rope_scaling`, which is set as a
            whole
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn an_unknown_preset_lists_those_that_exist() {
    let layers = Layers::new().flag("--preset", "model.preset", "covenant72b");
    assert_snapshot!(complaint(layers), @r#"
    error: 1 problem in the configuration
      --preset  model.preset = "covenant72b"  must be "tiny", "150m", "500m", "1b", "8b" or
            "covenant-72b", did you mean `covenant-72b`?
    hint: `covey config presets` lists the presets with their sizes
    "#);
}

#[test]
fn heads_must_divide() {
    let text = "[model]\nhidden_size = 256\nnum_attention_heads = 6\nnum_key_value_heads = 4\n";
    assert_snapshot!(complaint(file(text)), @r#"
    error: 2 problems in run.toml
      line 3  model.num_attention_heads = 6  must divide `model.hidden_size` = 256 (run.toml:2),
            unless `model.head_dim` is set
      line 4  model.num_key_value_heads = 4  must divide `model.num_attention_heads` = 6
            (run.toml:3)
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn heads_must_be_even() {
    assert_snapshot!(complaint(Layers::new().set("model.head_dim=33")), @r#"
    error: 1 problem in the configuration
      --set  model.head_dim = 33  must be even, since rotary positions rotate pairs
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn a_batch_must_be_whole_micro_batches() {
    assert_snapshot!(complaint(file("train.batch_size = 6\ntrain.micro_batch_size = 4\n")), @r#"
    error: 1 problem in run.toml
      line 2  train.micro_batch_size = 4  must divide `train.batch_size` = 6 (run.toml:1)
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn warmup_must_end_within_the_run() {
    let layers = file("schedule.warmup_steps = 50").flag("--steps", "train.steps", 40);
    assert_snapshot!(complaint(layers), @r#"
    error: 1 problem in run.toml
      line 1  schedule.warmup_steps = 50  must be at most `train.steps` = 40 (--steps)
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn sequences_must_have_positions() {
    let layers = Layers::new().set("model.preset=150m").set("data.sequence_length=4096");
    assert_snapshot!(complaint(layers), @r#"
    error: 1 problem in the configuration
      --set  data.sequence_length = 4096  must be at most `model.max_position_embeddings` = 2048
            (preset 150m)
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn windows_must_not_overlap_and_rewinds_must_stay_in_the_run() {
    let text = r#"
        [schedule]
        flat_windows = [{ start = 150, length = 10 }, { start = 100, length = 51 }]
        rewind = [{ at = 10, steps = 11 }]
    "#;
    assert_snapshot!(complaint(file(text)), @r#"
    error: 2 problems in run.toml
      line 3  schedule.flat_windows = [{ start = 150, length = 10 }, { start …  must not
            overlap, 51 steps from 100 reach past 150
      line 4  schedule.rewind = [{ at = 10, steps = 11 }]                       must not set the
            clock back to before its start, as 11 steps do
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn fields_of_records_are_checked_one_by_one() {
    let text = r#"
        [[data.sources]]
        path = "a"
        weight = 0.0

        [[data.sources]]
        wieght = 1.0

        [schedule]
        anneal = { start = 5, warmup_steps = 1, peak_ratio = 2.0 }

        [model.rope_scaling]
        factor = 8.0
        low_freq_factor = 4.0
        high_freq_factor = 1.0
        original_max_position_embeddings = 0
    "#;
    assert_snapshot!(complaint(file(text)), @r#"
    error: 6 problems in run.toml
      line 4   data.sources[0].weight = 0.0                             must be above 0
      line 6   data.sources[1].path                                     is missing, must be a
            path
      line 7   data.sources[1].wieght = 1.0                             unknown field, did you
            mean `weight`?
      line 10  schedule.anneal.decay_steps                              is missing, must be a
            whole number, at least 1
      line 10  schedule.anneal.peak_ratio = 2.0                         must be at least 0 and
            at most 1
      line 16  model.rope_scaling.original_max_position_embeddings = 0  must be at least 1
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn rope_scaling_needs_the_low_factor_below_the_high_one() {
    let scaling = "model.rope_scaling={factor=8.0, low_freq_factor=4.0, high_freq_factor=1.0, \
                   original_max_position_embeddings=64}";
    assert_snapshot!(complaint(Layers::new().set(scaling)), @r#"
    error: 1 problem in the configuration
      --set  model.rope_scaling = { factor = 8.0, low_freq_factor = 4.0, …  must have
            low_freq_factor below high_freq_factor
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn a_shape_cannot_be_set_together_with_a_model_folder() {
    let layers = file("[model]\nfrom = \"trained\"\nhidden_size = 256\nrope_scaling = \"none\"\n");
    assert_snapshot!(complaint(layers), @r#"
    error: 2 problems in run.toml
      line 3  model.hidden_size = 256      must be left out, the folder of `model.from`
            determines it
      line 4  model.rope_scaling = "none"  must be left out, the folder of `model.from`
            determines it
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn training_needs_data() {
    let error = Layers::new().resolve(Purpose::Train).expect_err("data is missing");
    assert_snapshot!(wrapped(&message(&error)), @r#"
    error: 1 problem in the configuration
      default  data.sources = []  must name a folder made by `covey prepare`, as `--data FOLDER`
            or in the file
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
    assert!(Layers::new().resolve(Purpose::Show).is_ok());
}

#[test]
fn a_missing_file_is_named() {
    assert_snapshot!(complaint(Layers::new().file(Path::new("no/such/run.toml"))), @r#"
    error: config file no/such/run.toml does not exist
    hint: check the path, or create a file with `covey config show > run.toml`
    "#);
}

#[test]
fn a_folder_is_not_a_file() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let error =
        Layers::new().file(folder.path()).resolve(Purpose::Show).expect_err("it is a folder");
    let path = folder.path().display().to_string();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert_snapshot!(message(&error).replace(&path, "FOLDER"), @r#"
    error: config file FOLDER cannot be read
    hint: check that it is a file and that you may read it
    "#);
}

#[test]
fn bytes_that_are_not_text_are_reported_with_their_line() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("run.toml");
    fs::write(&path, b"[train]\nsteps = 5\nname = \"\xff\"\n").expect("the folder is writable");
    let error = Layers::new().file(&path).resolve(Purpose::Show).expect_err("it is not text");
    assert_snapshot!(message(&error).replace(&folder.path().display().to_string(), "FOLDER"), @r#"
    error: config file FOLDER/run.toml is not UTF-8 text, line 3 is the first that is not
    hint: save the file as UTF-8
    "#);
}

#[test]
fn syntax_errors_are_reported_with_line_and_column() {
    assert_snapshot!(complaint(file("[train]\nsteps = = 5\n")), @r#"
    error: config file run.toml is not TOML: line 2, column 9: extra `=`, expected nothing
    hint: put text in double quotes; compare with the output of `covey config show`
    "#);
    assert_snapshot!(complaint(file("[train]\nsteps = 5\nsteps = 6\n")), @r#"
    error: config file run.toml is not TOML: line 3, column 1: duplicate key
    hint: put text in double quotes; compare with the output of `covey config show`
    "#);
    assert_snapshot!(complaint(file("[train\nsteps = 5\n")), @r#"
    error: config file run.toml is not TOML: line 1, column 7: unclosed table, expected `]`
    hint: put text in double quotes; compare with the output of `covey config show`
    "#);
}
