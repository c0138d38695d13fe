//! The steps of a new user, from text to a model that other programs load.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::fixtures::files_below;
use crate::support::sandbox::{SMALL, Sandbox, training};
use crate::support::trained::metrics;

/// Greedy text of a model.
fn written_by(sandbox: &Sandbox, model: &str) -> String {
    sandbox
        .succeed(&[
            "generate",
            model,
            "--prompt=the quick",
            "--max-tokens=20",
            "--greedy",
            "--threads=2",
        ])
        .stdout
}

#[test]
fn text_becomes_a_model_that_generates_text() {
    let sandbox = Sandbox::with(&["texts"]);
    let tokenizer =
        ["tokenizer", "train", "texts", "--vocab-size=320", "--output=new/tokenizer.json"];
    assert_snapshot!(sandbox.succeed(&tokenizer).complaint(0), @r"
    training the tokenizer
    trained a tokenizer of 305 tokens on 30 documents (TIME)
    wrote new/tokenizer.json
    ");
    sandbox.succeed(&[
        "prepare",
        "texts",
        "--tokenizer=new/tokenizer.json",
        "--output=data",
        "--held-out=0.1",
    ]);
    sandbox.succeed(&training(&["--steps=60", "--output=run"]));
    let losses: Vec<f64> = metrics(&sandbox.path("run")).iter().filter_map(held_out_loss).collect();
    assert_eq!(losses.len(), 7, "at the beginning and every ten steps");
    assert!(losses.is_sorted_by(|earlier, later| later < earlier), "{losses:?}");

    let score: Value =
        serde_json::from_str(&sandbox.succeed(&["eval", "run", "--data=data"]).stdout).unwrap();
    assert!(score["loss"].as_f64().unwrap() < losses[1], "{score}");
    let text = written_by(&sandbox, "run");
    assert!(text.starts_with("the quick") && text.trim().len() > "the quick".len(), "{text}");
    sandbox.succeed(&["export", "run", "--output=hub"]);
    assert_eq!(written_by(&sandbox, "hub"), text);
}

fn held_out_loss(line: &Value) -> Option<f64> {
    (line["kind"] == "eval").then(|| line["loss"].as_f64().unwrap())
}

#[test]
fn exports_in_16_bits_keep_the_loss() {
    let sandbox = Sandbox::with(&["trained", "data"]);
    let loss = |model: &str| {
        let score: Value =
            serde_json::from_str(&sandbox.succeed(&["eval", model, "--data=data"]).stdout).unwrap();
        score["loss"].as_f64().unwrap()
    };
    let exact = loss("trained");
    for format in ["bf16", "fp16"] {
        sandbox.succeed(&["export", "trained", "--output", format, "--dtype", format]);
        let difference = (loss(format) - exact).abs();
        assert!(difference > 0.0 && difference < 0.01, "{format}: {difference}");
        assert!(!written_by(&sandbox, format).is_empty());
    }
}

#[test]
fn an_export_in_many_files_has_the_same_weights() {
    let sandbox = Sandbox::with(&["trained", "hub"]);
    sandbox.succeed(&["export", "trained", "--output=many", "--max-shard-size=20KB"]);
    assert!(
        sandbox.has("many/model.safetensors.index.json") && !sandbox.has("many/model.safetensors")
    );
    sandbox.succeed(&["export", "many", "--output=one"]);
    assert!(files_below(&sandbox.path("one")) == files_below(&sandbox.path("hub")));
}

#[test]
fn training_from_a_model_starts_with_its_loss() {
    let sandbox = Sandbox::with(&["trained", "hub", "data"]);
    let last =
        metrics(&sandbox.path("trained")).iter().filter_map(held_out_loss).next_back().unwrap();
    let training = ["train", "--data=data", "--steps=20", "--threads=2"];
    for (from, output) in
        [("hub", "run"), ("trained", "other"), ("trained/checkpoints/step-00000040", "third")]
    {
        let settings = SMALL
            .iter()
            .copied()
            .filter(|setting| setting.starts_with("--set=") && !setting.contains("model."));
        let settings: Vec<&str> = settings.chain(["--from", from, "--output", output]).collect();
        sandbox.succeed(&[training.as_slice(), &settings].concat());
        let losses: Vec<f64> =
            metrics(&sandbox.path(output)).iter().filter_map(held_out_loss).collect();
        assert_eq!(losses[0], last, "{from}");
        assert!(losses[2] < losses[0], "{losses:?}");
    }
}

#[test]
fn preparing_twice_does_nothing() {
    let sandbox = Sandbox::with(&["texts", "tokenizer", "data"]);
    let before = files_below(&sandbox.path("data"));
    let again = sandbox.covey(&[
        "prepare",
        "texts",
        "--tokenizer=tokenizer",
        "--output=data",
        "--held-out=0.1",
    ]);
    assert_snapshot!(again.complaint(0), @r"
    nothing to do: data was prepared from the same text before
    data: 3308 tokens of 25 documents to train on, 663 of 5 held out
    ");
    assert!(files_below(&sandbox.path("data")) == before);
}

#[test]
fn a_shown_config_file_has_the_same_values() {
    let sandbox = Sandbox::empty();
    let shown = sandbox.succeed(&["config", "show", "--preset=150m", "--set=train.steps=7"]).stdout;
    sandbox.write("run.toml", &shown);
    let values = |text: &str| text.parse::<toml::Table>().unwrap();
    let again = sandbox.succeed(&["config", "show", "run.toml"]).stdout;
    assert_eq!(values(&again), values(&shown));
    assert_eq!(values(&shown)["train"]["steps"].as_integer(), Some(7));
}
