//! Configurations that cannot be, as the program tells of them. All rules and their words: the tests of `config`.

use insta::assert_snapshot;

use crate::support::sandbox::{Said, Sandbox, USAGE};

/// What `covey train run.toml` says about this file.
fn complaint(text: &str) -> String {
    let sandbox = Sandbox::with(&["data"]);
    sandbox.write("run.toml", text);
    let said = sandbox.covey(&["train", "run.toml", "--data=data", "--output=run"]);
    assert!(!sandbox.has("run"));
    said.complaint(USAGE)
}

#[test]
fn a_value_of_the_wrong_type() {
    assert_snapshot!(complaint("train.steps = \"many\"\n"), @r#"
    error: 1 problem in run.toml
      line 1  train.steps = "many"  must be a whole number, at least 1
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
}

#[test]
fn an_unknown_key() {
    assert_snapshot!(complaint("[train]\nstep = 5\n"), @r"
    error: 1 problem in run.toml
      line 2  train.step = 5  unknown key, did you mean `train.steps`?
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
}

#[test]
fn heads_that_do_not_divide() {
    assert_snapshot!(complaint("[model]\nhidden_size = 256\nnum_attention_heads = 6\nnum_key_value_heads = 4\n"), @r"
    error: 2 problems in run.toml
      line 3  model.num_attention_heads = 6  must divide `model.hidden_size` = 256 (run.toml:2), unless `model.head_dim` is set
      line 4  model.num_key_value_heads = 4  must divide `model.num_attention_heads` = 6 (run.toml:3)
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
}

#[test]
fn many_problems_from_everywhere_at_once() {
    let sandbox = Sandbox::with(&["data"]);
    sandbox.write("run.toml", "[train]\nsteps = 0\nbatch_size = \"big\"\n");
    let arguments = [
        "train",
        "run.toml",
        "--data=data",
        "--output=run",
        "--preset=huge",
        "--set=optim.beta1=1",
    ];
    let mut command = sandbox.command(&arguments);
    let said = Said::new(command.env("COVEY_STEPS", "5").output().unwrap());
    assert_snapshot!(said.complaint(USAGE), @r#"
    error: 5 problems in the configuration
      run.toml:2   train.steps = 0           must be at least 1
      run.toml:3   train.batch_size = "big"  must be a whole number, at least 1
      COVEY_STEPS  steps = 5                 unknown key, did you mean `COVEY_TRAIN__STEPS`?
      --preset     model.preset = "huge"     must be "tiny", "150m", "500m", "1b", "8b" or "covenant-72b"
      --set        optim.beta1 = 1           must be at least 0 and below 1
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
    assert!(!sandbox.has("run"));
}

#[test]
fn a_file_that_is_not_toml() {
    assert_snapshot!(complaint("[train\nsteps = 5\n"), @r"
    error: config file run.toml is not TOML: line 1, column 7: unclosed table, expected `]`
    hint: text goes in double quotes; `covey config show` prints a whole config to compare with
    ");
}

#[test]
fn no_data_to_learn_from() {
    let sandbox = Sandbox::empty();
    assert_snapshot!(sandbox.covey(&["train", "--output=run"]).complaint(USAGE), @r"
    error: 1 problem in the configuration
      default  data.sources = []  must name a folder made by `covey prepare`, as `--data FOLDER` or in the file
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
    assert!(!sandbox.has("run"));
}

#[test]
fn a_command_that_does_not_exist() {
    let sandbox = Sandbox::empty();
    assert_snapshot!(sandbox.covey(&["trian"]).complaint(USAGE), @r"
    error: unrecognized subcommand 'trian'

      tip: a similar subcommand exists: 'train'

    Usage: covey <COMMAND>

    For more information, try '--help'.
    ");
}
