//! What a person reads when something is wrong.

use std::fs;
use std::path::Path;

use covey::config::{ConfigError, Layers, Purpose};
use insta::assert_snapshot;

use crate::{complaint, file, message, variables};

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
    assert_snapshot!(complaint(file(text)), @"");
}

#[test]
fn problems_from_everywhere_carry_their_place() {
    let layers = file("train.steps = 1.5")
        .environment(variables(&[("COVEY_TRAIN__STEP", "3"), ("COVEY_STEPS", "4"), ("COVEY_OPTIM__BETA1", "1")]))
        .flag("--threads", "run.threads", 0)
        .set("schedule.final_ratio=nan")
        .set("schedule");
    assert_snapshot!(complaint(layers), @"");
}

#[test]
fn wrong_types_say_what_is_right() {
    let text = r#"
        run = { name = 5, seed = -1, device = "gpu", threads = "some" }
        model = { tie_word_embeddings = "yes", rope_scaling = 8.0 }
        data.sources = "prepared"
        train = { steps = 99999999999999999999, precision = "bf16", eval_every = 2026-01-01 }
        schedule.kind = "cosin"
    "#;
    assert_snapshot!(complaint(file(text)), @"");
}

#[test]
fn names_cannot_leave_the_folder_of_runs() {
    assert_snapshot!(complaint(Layers::new().set("run.name=../other")), @"");
}

#[test]
fn numbers_out_of_range_say_the_range() {
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
    assert_snapshot!(complaint(file(text)), @"");
}

#[test]
fn unknown_keys_and_groups_are_met_with_suggestions() {
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
    assert_snapshot!(complaint(file(text)), @"");
}

#[test]
fn a_group_is_no_value() {
    assert_snapshot!(complaint(file("train = 5")), @"");
}

#[test]
fn parts_of_records_cannot_be_set_alone() {
    assert_snapshot!(complaint(Layers::new().set("model.rope_scaling.factor=8")), @"");
}

#[test]
fn an_unknown_preset_lists_those_that_exist() {
    assert_snapshot!(complaint(Layers::new().flag("--preset", "model.preset", "covenant72b")), @"");
}

#[test]
fn heads_must_divide() {
    let text = "[model]\nhidden_size = 256\nnum_attention_heads = 6\nnum_key_value_heads = 4\n";
    assert_snapshot!(complaint(file(text)), @"");
}

#[test]
fn heads_must_be_even() {
    assert_snapshot!(complaint(Layers::new().set("model.head_dim=33")), @"");
}

#[test]
fn a_batch_must_be_whole_micro_batches() {
    assert_snapshot!(complaint(file("train.batch_size = 6\ntrain.micro_batch_size = 4\n")), @"");
}

#[test]
fn warmup_must_end_within_the_run() {
    assert_snapshot!(complaint(file("schedule.warmup_steps = 50").flag("--steps", "train.steps", 40)), @"");
}

#[test]
fn sequences_must_have_positions() {
    assert_snapshot!(complaint(Layers::new().set("model.preset=150m").set("data.sequence_length=4096")), @"");
}

#[test]
fn the_schedule_must_be_possible() {
    let text = r#"
        [schedule]
        flat_windows = [{ start = 150, length = 10 }, { start = 100, length = 51 }]
        rewind = [{ at = 10, steps = 11 }]
    "#;
    assert_snapshot!(complaint(file(text)), @"");
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

        [model]
        rope_scaling = { factor = 8.0, low_freq_factor = 4.0, high_freq_factor = 1.0, original_max_position_embeddings = 0 }
    "#;
    assert_snapshot!(complaint(file(text)), @"");
}

#[test]
fn stretching_needs_low_below_high() {
    let scaling = "{factor=8.0, low_freq_factor=4.0, high_freq_factor=1.0, original_max_position_embeddings=64}";
    assert_snapshot!(complaint(Layers::new().set(&format!("model.rope_scaling={scaling}"))), @"");
}

#[test]
fn a_shape_cannot_be_given_beside_a_folder() {
    let layers = file("[model]\nfrom = \"trained\"\nhidden_size = 256\nrope_scaling = \"none\"\n");
    assert_snapshot!(complaint(layers), @"");
}

#[test]
fn training_needs_data() {
    let error = Layers::new().resolve(Purpose::Train).expect_err("there is no data");
    assert_snapshot!(message(&error), @"");
    assert!(Layers::new().resolve(Purpose::Show).is_ok());
}

#[test]
fn a_missing_file_is_named() {
    assert_snapshot!(complaint(Layers::new().file(Path::new("no/such/run.toml"))), @"");
}

#[test]
fn a_folder_is_no_file() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let error = Layers::new().file(folder.path()).resolve(Purpose::Show).expect_err("it is a folder");
    let path = folder.path().display().to_string();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert_snapshot!(message(&error).replace(&path, "FOLDER"), @"");
}

#[test]
fn bytes_that_are_no_text_are_placed() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("run.toml");
    fs::write(&path, b"[train]\nsteps = 5\nname = \"\xff\"\n").expect("the folder is writable");
    let error = Layers::new().file(&path).resolve(Purpose::Show).expect_err("it is not text");
    assert_snapshot!(message(&error).replace(&folder.path().display().to_string(), "FOLDER"), @"");
}

#[test]
fn mistakes_in_syntax_are_placed() {
    assert_snapshot!(complaint(file("[train]\nsteps = = 5\n")), @"");
    assert_snapshot!(complaint(file("[train]\nsteps = 5\nsteps = 6\n")), @"");
    assert_snapshot!(complaint(file("[train\nsteps = 5\n")), @"");
}
