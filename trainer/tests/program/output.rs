//! Data on stdout, talk on stderr, neither with control characters when nobody looks on.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::sandbox::{Said, Sandbox, training};

#[test]
fn help() {
    assert_snapshot!(Sandbox::empty().succeed(&["--help"]).stdout, @r"
    Train Llama-style language models, from text to a Hugging Face folder

    Usage: covey <COMMAND>

    Commands:
      demo       Let two peers train a small model on built-in text, within minutes, and let it write
      tokenizer  Make tokenizers
      prepare    Turn text into shards of tokens to train on
      train      Train a model, or go on with one
      generate   Let a model continue a text
      eval       Score a model on held-out text
      export     Write a model as a folder that `transformers` loads
      init       Begin a run that many train together, in a bucket or a folder
      id         Print who a secret key is: the id of a peer or a validator
      join       Take part in a run
      validate   Judge what peers learned, and close the rounds of a run together with its other
                 validators
      verify     Hold a run's verdicts to everything that they follow from
      status     Show how a run stands: rounds, peers, bytes, lineage
      peer       Register in a run's ledger, change keys, leave, and see how peers stand
      ledger     Check a run's ledger
      bucket     Keep a bucket for others
      devices    List what can be computed on, and why the rest cannot
      plan       Say what a configuration needs: memory of every device, time of a step, bytes of a
                 round
      config     Look at the configuration
      help       Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

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
fn every_example_in_the_help_can_be_typed() {
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

fn is_plain(said: &Said) -> bool {
    let is_plain = |text: &str| text.chars().all(|letter| letter == '\n' || !letter.is_control());
    is_plain(&said.stdout) && is_plain(&said.stderr)
}

#[test]
fn a_score_is_json_and_nothing_else() {
    let sandbox = Sandbox::with(&["hub", "data"]);
    let said = sandbox.succeed(&["eval", "hub", "--data=data", "--sequence-length=32"]);
    assert!(is_plain(&said), "{said:?}");
    let score: Value = serde_json::from_str(&said.stdout).unwrap();
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
fn a_text_is_the_text_and_nothing_else() {
    let sandbox = Sandbox::with(&["hub"]);
    let arguments = ["generate", "hub", "--prompt=the lazy dog", "--max-tokens=8", "--seed=5"];
    let said = sandbox.succeed(&arguments);
    assert_eq!(said.stderr, "");
    assert!(said.stdout.starts_with("the lazy dog") && said.stdout.ends_with('\n'), "{said:?}");
    assert_eq!(sandbox.succeed(&arguments).stdout, said.stdout, "the same seed");
}

#[test]
fn a_text_ends_where_the_positions_end() {
    let sandbox = Sandbox::with(&["hub"]);
    let said =
        sandbox.succeed(&["generate", "hub", "--prompt=the", "--max-tokens=1000", "--seed=1"]);
    assert!(
        ["", "the model has no more than 256 positions\n"].contains(&said.stderr.as_str()),
        "{said:?}"
    );
}

#[test]
fn training_talks_on_stderr_in_plain_lines() {
    let sandbox = Sandbox::with(&["data"]);
    let said = sandbox.succeed(&training(&["--steps=3", "--output=run"]));
    assert_eq!(said.stdout, "");
    assert!(is_plain(&said), "{said:?}");
    assert!(
        said.stderr.ends_with("finished after step 3; saved run/checkpoints/step-00000003\n"),
        "{said:?}"
    );
}

#[test]
fn whoever_has_read_enough_may_leave() {
    let sandbox = Sandbox::with(&["hub"]);
    let mut command = sandbox.command(&["generate", "hub", "--max-tokens=200", "--seed=1"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
