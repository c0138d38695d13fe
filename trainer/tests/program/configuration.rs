//! Problems of a configuration, as the program reports them. The tests of `config` cover all rules.

use insta::assert_snapshot;

use crate::support::sandbox::{ProgramOutput, Sandbox, USAGE};

/// The message of `covey train run.toml` about this file.
fn complaint(text: &str) -> String {
    let sandbox = Sandbox::with(&["data"]);
    sandbox.write("run.toml", text);
    let printed = sandbox.covey(&["train", "run.toml", "--data=data", "--output=run"]);
    assert!(!sandbox.has("run"));
    printed.complaint(USAGE)
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
    let text = "[model]\nhidden_size = 256\nnum_attention_heads = 6\nnum_key_value_heads = 4\n";
    assert_snapshot!(complaint(text).replace("  must", "\n      must"), @r"
    error: 2 problems in run.toml
      line 3  model.num_attention_heads = 6
          must divide `model.hidden_size` = 256 (run.toml:2), unless `model.head_dim` is set
      line 4  model.num_key_value_heads = 4
          must divide `model.num_attention_heads` = 6 (run.toml:3)
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
}

#[test]
fn problems_from_all_sources_are_reported_together() {
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
    let printed = ProgramOutput::new(command.env("COVEY_STEPS", "5").output().unwrap());
    assert_snapshot!(printed.complaint(USAGE).replace(" \"8b\" or", "\n      \"8b\" or"), @r#"
    error: 5 problems in the configuration
      run.toml:2   train.steps = 0           must be at least 1
      run.toml:3   train.batch_size = "big"  must be a whole number, at least 1
      COVEY_STEPS  steps = 5                 unknown key, did you mean `COVEY_TRAIN__STEPS`?
      --preset     model.preset = "huge"     must be "tiny", "150m", "500m", "1b",
          "8b" or "covenant-72b"
      --set        optim.beta1 = 1           must be at least 0 and below 1
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
    assert!(!sandbox.has("run"));
}

#[test]
fn a_file_that_is_not_toml() {
    assert_snapshot!(complaint("[train\nsteps = 5\n"), @r"
    error: config file run.toml is not TOML: line 1, column 7: unclosed table, expected `]`
    hint: put text in double quotes; compare with the output of `covey config show`
    ");
}

#[test]
fn missing_training_data() {
    let sandbox = Sandbox::empty();
    let complaint = sandbox.covey(&["train", "--output=run"]).complaint(USAGE);
    assert_snapshot!(complaint.replace("  must", "\n      must"), @r"
    error: 1 problem in the configuration
      default  data.sources = []
          must name a folder made by `covey prepare`, as `--data FOLDER` or in the file
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

    Usage: covey [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_former_key_is_accepted_with_one_note() {
    let sandbox = Sandbox::with(&["data"]);
    sandbox.write("run.toml", "rounds.patience = 4\n");
    let arguments =
        ["config", "show", "run.toml", "--set=rounds.patience=5", "--set=comms.poll_interval=1"];
    let mut command = sandbox.command(&arguments);
    let printed = ProgramOutput::new(command.env("COVEY_ROUNDS__TAKEOVER", "9").output().unwrap());
    let notes: Vec<_> = printed.stderr.lines().map(|line| line.split(';').next()).collect();
    assert_eq!(
        notes,
        [
            Some("note: `rounds.patience` is now `rounds.max_missed_rounds` (run.toml:1)"),
            Some("note: `COVEY_ROUNDS__TAKEOVER` is now `COVEY_ROUNDS__JUDGING_TIMEOUT`"),
        ]
    );
    assert!(printed.stdout.contains("max_missed_rounds = 5"), "{printed:?}");
    assert!(!printed.stdout.contains("patience"), "{printed:?}");
}
