//! Missing, empty or blocked inputs and outputs. No file is written in these cases.

use insta::assert_snapshot;

use crate::support::sandbox::{FAILURE, Sandbox, USAGE, folded};

#[test]
fn a_missing_config_file() {
    let sandbox = Sandbox::with(&["data"]);
    assert_snapshot!(sandbox.covey(&["train", "run.toml"]).complaint(USAGE), @r"
    error: config file run.toml does not exist
    hint: check the path, or create a file with `covey config show > run.toml`
    ");
}

#[test]
fn a_missing_tokenizer() {
    let sandbox = Sandbox::with(&["texts"]);
    let arguments = ["prepare", "texts", "--tokenizer=tokenizer.json", "--output=data"];
    assert_snapshot!(sandbox.covey(&arguments).complaint(FAILURE), @r"
    error: tokenizer.json does not exist
    hint: check the spelling; relative paths start at the current folder
    ");
    assert!(!sandbox.has("data"));
}

#[test]
fn a_missing_text() {
    let sandbox = Sandbox::with(&["tokenizer"]);
    assert_snapshot!(sandbox.covey(&["tokenizer", "train", "books"]).complaint(FAILURE), @r"
    error: books does not exist
    hint: check the spelling; relative paths start at the current folder
    ");
    assert!(!sandbox.has("tokenizer.json"));
    let arguments =
        ["prepare", "book.txt", "--tokenizer=tokenizer/tokenizer.json", "--output=data"];
    assert_snapshot!(sandbox.covey(&arguments).complaint(FAILURE), @r"
    error: book.txt does not exist
    hint: check the spelling; relative paths start at the current folder
    ");
    assert!(!sandbox.has("data"));
}

#[test]
fn a_missing_data_folder() {
    let sandbox = Sandbox::with(&["trained"]);
    assert_snapshot!(sandbox.train(&["--output=run"]).complaint(FAILURE), @r"
    error: data does not exist
    hint: check the spelling; relative paths start at the current folder
    ");
    assert!(!sandbox.has("run"));
    assert_snapshot!(sandbox.covey(&["eval", "trained", "--data=data"]).complaint(FAILURE), @r"
    error: data does not exist
    hint: check the spelling; relative paths start at the current folder
    ");
}

#[test]
fn an_unfinished_data_folder() {
    let sandbox = Sandbox::with(&["data"]);
    std::fs::remove_file(sandbox.path("data/manifest.json")).unwrap();
    let shown = sandbox.train(&["--output=run"]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: data is not a finished dataset: it has no manifest.json
    hint: run `covey prepare` with this output folder; an interrupted preparation continues
        where it stopped
    ");
    assert!(!sandbox.has("run"));
}

#[test]
fn a_missing_model_folder() {
    let sandbox = Sandbox::with(&["data"]);
    let message = r"error: model does not exist
hint: name a run folder, a checkpoint, or a Hugging Face folder with a config.json
";
    for arguments in [
        ["generate", "model", "--greedy"],
        ["eval", "model", "--data=data"],
        ["export", "model", "--output=hub"],
        ["train", "--from=model", "--data=data"],
    ] {
        assert_eq!(sandbox.covey(&arguments).complaint(FAILURE), message, "{arguments:?}");
    }
    assert!(!sandbox.has("hub") && !sandbox.has("runs"));
}

#[test]
fn a_folder_without_a_model() {
    let sandbox = Sandbox::with(&["data"]);
    assert_snapshot!(sandbox.covey(&["generate", "data"]).complaint(FAILURE), @r"
    error: data does not contain a model
    hint: name a run folder, a checkpoint, or a Hugging Face folder with a config.json
    ");
}

#[test]
fn a_model_without_weights() {
    let sandbox = Sandbox::with(&["hub"]);
    std::fs::remove_file(sandbox.path("hub/model.safetensors")).unwrap();
    let shown = sandbox.covey(&["generate", "hub"]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: no weights found in `hub`
    hint: convert the weights to `model.safetensors`, or to shards with an index; `.bin`
        files are not supported
    ");
}

#[test]
fn a_model_without_a_tokenizer() {
    let sandbox = Sandbox::with(&["hub"]);
    std::fs::remove_file(sandbox.path("hub/tokenizer.json")).unwrap();
    assert_snapshot!(sandbox.covey(&["generate", "hub"]).complaint(FAILURE), @r"
    error: hub has no tokenizer.json
    hint: copy the tokenizer.json of this model into the folder
    ");
}

#[test]
fn an_empty_corpus() {
    let sandbox = Sandbox::with(&["tokenizer"]);
    std::fs::create_dir(sandbox.path("books")).unwrap();
    let arguments = ["prepare", "books", "--tokenizer=tokenizer/tokenizer.json", "--output=data"];
    assert_snapshot!(sandbox.covey(&arguments).complaint(FAILURE), @r"
    error: no text in 0 input files (0 others skipped)
    hint: name at least one file with text in it
    ");
    assert!(!sandbox.has("data"));
}

#[test]
fn a_text_with_only_white_space() {
    let sandbox = Sandbox::with(&["tokenizer"]);
    sandbox.write("empty.txt", "");
    sandbox.write("blank.txt", " \n\t\n");
    let prepare = [
        "prepare",
        "empty.txt",
        "blank.txt",
        "--tokenizer=tokenizer/tokenizer.json",
        "--output=data",
    ];
    assert_snapshot!(sandbox.covey(&prepare).complaint(FAILURE), @r"
    error: no text in 2 input files (0 others skipped)
    hint: name at least one file with text in it
    ");
    assert!(!sandbox.has("data"));
    let train = ["tokenizer", "train", "empty.txt", "blank.txt"];
    assert_snapshot!(sandbox.covey(&train).complaint(FAILURE), @r"
    training the tokenizer
    error: no text in 2 input files (0 others skipped)
    hint: name at least one file with text in it
    ");
    assert!(!sandbox.has("tokenizer.json"));
}

#[test]
fn a_corpus_without_held_out_text() {
    let sandbox = Sandbox::with(&["texts", "tokenizer"]);
    sandbox.succeed(&[
        "prepare",
        "texts",
        "--tokenizer=tokenizer",
        "--output=data",
        "--held-out=0",
    ]);
    assert_snapshot!(sandbox.train(&["--output=run"]).complaint(FAILURE), @r"
    error: data has no held-out text
    hint: prepare the text into another folder with `--held-out` above 0, or prepare more text
    ");
    assert!(!sandbox.has("run"));
}

/// Tests may run as root, and permissions do not stop root. A folder below a file is impossible for
/// all users.
#[test]
fn an_output_folder_below_a_file() {
    let sandbox = Sandbox::with(&["texts", "tokenizer", "data", "trained"]);
    sandbox.write("file", "");
    assert_snapshot!(sandbox.train(&["--output=file/run"]).complaint(FAILURE), @r"
    error: cannot read file/run/checkpoints: Not a directory (os error 20)
    hint: choose another folder with `--output`; a file has the name of a needed folder
    ");
    let prepare = ["prepare", "texts", "--tokenizer=tokenizer", "--output=file/data"];
    assert_snapshot!(sandbox.covey(&prepare).complaint(FAILURE), @r"
    error: cannot write file/data
      caused by: Not a directory (os error 20)
    hint: choose another folder: a part of this path is a file
    ");
    let shown = sandbox.covey(&["export", "trained", "--output=file/hub"]).complaint(FAILURE);
    assert_snapshot!(shown, @r"
    error: cannot write `file/hub`
      caused by: Not a directory (os error 20)
    hint: check free space and permissions, then try again
    ");
    let tokenizer = ["tokenizer", "train", "texts", "--output=file/tokenizer.json"];
    assert_snapshot!(sandbox.covey(&tokenizer).complaint(FAILURE), @r"
    training the tokenizer
    trained a tokenizer of 305 tokens on 30 documents (TIME)
    error: cannot write file
      caused by: File exists (os error 17)
    hint: choose another folder: a part of this path is a file
    ");
    assert!(sandbox.read("file").is_empty());
}

/// A folder in which even root cannot write.
#[cfg(target_os = "linux")]
#[test]
fn an_output_folder_in_proc() {
    let sandbox = Sandbox::with(&["data"]);
    let complaint = sandbox.train(&["--output=/proc/run"]).complaint(FAILURE);
    assert_eq!(
        complaint,
        "error: cannot create /proc/run/checkpoints: No such file or directory (os error 2)\n"
    );
}
