//! Data goes to stdout and messages to stderr, both without control characters if the output is not
//! a terminal.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::sandbox::{ProgramOutput, Sandbox, USAGE, folded, training};

#[test]
fn help() {
    let shown = Sandbox::empty().succeed(&["--help"]).stdout;
    assert_snapshot!(folded(&shown), @r"
    Train Llama-style language models, from text to a Hugging Face folder

    Usage: covey [OPTIONS] <COMMAND>

    Commands:
      demo       Train a small model with two peers on built-in text, then generate; takes
        minutes
      tokenizer  Train tokenizers
      prepare    Convert text to token shards for training
      train      Train a model, or resume training
      generate   Generate text with a model
      eval       Score a model on held-out text
      export     Export a model as a folder that `transformers` can load
      init       Create a distributed run in a bucket or a folder
      id         Print the public ID of a key file
      join       Join a distributed run as a peer
      validate   Score the deltas of a run and close its rounds, as one of its validators
      verify     Recompute a run's verdicts and report the first mismatch
      status     Show the state of a run: rounds, peers, bytes, lineage
      peer       Register a peer in a run's ledger, change its key, or list scores
      ledger     Verify a run's ledger
      bucket     Serve a bucket to other machines
      devices    List the devices of this machine, with the reason why a device cannot be
        used
      plan       Estimate memory per device, time per step and bytes per round
      config     Show the configuration, its presets and its keys
      help       Print this message or the help of the given subcommand(s)

    Options:
          --log <LEVEL>          Log level of stderr, from error to trace, or a filter such
        as
                                 covey_comms=debug [default: off] [env: COVEY_LOG]
          --log-format <FORMAT>  Format of the log, text or json [default: text]
      -h, --help                 Print help
      -V, --version              Print version

    Start here:
      covey demo
    ");
}

#[test]
fn presets() {
    assert_snapshot!(Sandbox::empty().succeed(&["config", "presets"]).stdout, @r"
    preset             parameters  layers  hidden  sequence   batch  learning rate
    tiny                1,262,720       4     128       256       8           4e-3
    150m              214,983,680      12    1024      2048     128           6e-4
    500m              512,398,848      12    1536      2048     192           4e-4
    1b              1,204,881,408      16    2048      2048     192           4e-4
    8b              8,030,261,248      32    4096      2048     192           3e-4
    covenant-72b   72,747,327,488      80    8192      2048     192         1.2e-4
    ");
}

#[test]
fn every_help_has_an_example_of_its_command() {
    let sandbox = Sandbox::empty();
    let commands = [
        "demo",
        "tokenizer train",
        "prepare",
        "train",
        "generate",
        "eval",
        "export",
        "init",
        "join",
        "id",
        "validate",
        "verify",
        "status",
        "bucket serve",
        "bucket key",
        "config show",
        "config presets",
        "config keys",
    ];
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = sandbox.succeed(&arguments).stdout;
        let (_, examples) =
            help.split_once("\nExample").unwrap_or_else(|| panic!("no example: {help}"));
        let examples: Vec<&str> =
            examples.lines().filter(|line| line.starts_with("  covey ")).collect();
        assert!(
            examples.iter().all(|example| example.starts_with(&format!("  covey {command}"))),
            "{examples:?}"
        );
        assert!(!examples.is_empty(), "{help}");
    }
}

#[test]
fn version() {
    assert_eq!(
        Sandbox::empty().succeed(&["--version"]).stdout,
        format!("covey {}\n", env!("CARGO_PKG_VERSION"))
    );
}

fn is_plain(printed: &ProgramOutput) -> bool {
    let is_plain = |text: &str| text.chars().all(|letter| letter == '\n' || !letter.is_control());
    is_plain(&printed.stdout) && is_plain(&printed.stderr)
}

#[test]
fn eval_prints_only_json() {
    let sandbox = Sandbox::with(&["hub", "data"]);
    let printed = sandbox.succeed(&["eval", "hub", "--data=data", "--sequence-length=32"]);
    assert!(is_plain(&printed), "{printed:?}");
    let score: Value = serde_json::from_str(&printed.stdout).unwrap();
    let keys: Vec<&String> = score.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["loss", "perplexity", "bits_per_byte", "tokens", "bytes"]);
    let (loss, perplexity) =
        (score["loss"].as_f64().unwrap(), score["perplexity"].as_f64().unwrap());
    assert!((loss.exp() - perplexity).abs() < 1e-9 * perplexity, "{score}");
    let per_byte = loss / std::f64::consts::LN_2 * score["tokens"].as_f64().unwrap()
        / score["bytes"].as_f64().unwrap();
    assert!((per_byte - score["bits_per_byte"].as_f64().unwrap()).abs() < 1e-9, "{score}");
}

#[test]
fn generate_prints_only_the_text() {
    let sandbox = Sandbox::with(&["hub"]);
    let arguments = ["generate", "hub", "--prompt=the lazy dog", "--max-tokens=8", "--seed=5"];
    let printed = sandbox.succeed(&arguments);
    assert_eq!(printed.stderr, "");
    assert!(
        printed.stdout.starts_with("the lazy dog") && printed.stdout.ends_with('\n'),
        "{printed:?}"
    );
    assert_eq!(sandbox.succeed(&arguments).stdout, printed.stdout, "the same seed");
}

#[test]
fn a_text_ends_where_the_positions_end() {
    let sandbox = Sandbox::with(&["hub"]);
    let printed =
        sandbox.succeed(&["generate", "hub", "--prompt=the", "--max-tokens=1000", "--seed=1"]);
    assert!(
        ["", "stopped at the last of the model's 256 positions\n"]
            .contains(&printed.stderr.as_str()),
        "{printed:?}"
    );
}

#[test]
fn training_reports_on_stderr_in_plain_lines() {
    let sandbox = Sandbox::with(&["data"]);
    let printed = sandbox.succeed(&training(&["--steps=3", "--output=run"]));
    assert_eq!(printed.stdout, "");
    assert!(is_plain(&printed), "{printed:?}");
    assert!(
        printed.stderr.ends_with("finished after step 3; saved run/checkpoints/step-00000003\n"),
        "{printed:?}"
    );
}

#[test]
fn a_reader_can_close_stdout_early() {
    let sandbox = Sandbox::with(&["hub"]);
    let mut command = sandbox.command(&["generate", "hub", "--max-tokens=200", "--seed=1"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The events of a JSON log.
fn events(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_long_command_writes_its_events_with_fields_to_run_log() {
    let sandbox = Sandbox::with(&["data"]);
    let printed = sandbox.train(&["--output=run", "--steps=3", "--log-format=json"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    // Without `--log`, stderr has only the lines for people.
    assert!(!printed.stderr.contains("\"level\""), "{}", printed.stderr);
    let log = String::from_utf8(sandbox.read("run/run.log")).unwrap();
    let started = events(&log).into_iter().find(|event| event["message"] == "training").unwrap();
    assert_eq!((&started["level"], &started["total"]), (&"INFO".into(), &3.into()));
}

#[test]
fn the_log_level_selects_the_events_on_stderr() {
    let sandbox = Sandbox::with(&["data"]);
    let train = |folder: &str, level: &str| {
        let (output, log) = (format!("--output={folder}"), format!("--log={level}"));
        sandbox.train(&[&output, "--steps=2", "--log-format=json", &log])
    };
    assert!(train("debug", "covey=debug").stderr.contains("\"message\":\"step\""));
    assert!(!train("error", "error").stderr.contains("\"message\":\"training\""));
    let rejected = train("wrong", "covey=loud");
    assert_eq!(rejected.code, Some(USAGE));
    assert!(rejected.stderr.contains("hint: "), "{}", rejected.stderr);
    assert!(!sandbox.has("wrong"));
}
