//! Invalid inputs: wrong formats, other vocabularies, impossible lengths, unknown devices.

use insta::assert_snapshot;

use crate::support::sandbox::{FAILURE, Sandbox, USAGE, folded};

#[test]
fn a_file_of_an_unknown_format() {
    let sandbox = Sandbox::with(&["tokenizer"]);
    sandbox.write("book.pdf", "%PDF");
    let arguments = ["prepare", "book.pdf", "--tokenizer=tokenizer", "--output=data"];
    let shown = sandbox.covey(&arguments).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: unknown format of book.pdf
    hint: use a file with one of the extensions .txt, .txt.zst, .jsonl, .jsonl.zst,
        .json.zst, .parquet
    ");
    assert!(!sandbox.has("data"));
}

#[test]
fn a_text_file_with_invalid_utf_8() {
    let sandbox = Sandbox::with(&["tokenizer"]);
    sandbox.write("book.txt", b"caf\xe9");
    let arguments = ["prepare", "book.txt", "--tokenizer=tokenizer", "--output=data"];
    assert_snapshot!(sandbox.covey(&arguments).complaint(FAILURE), @r"
    error: book.txt is not UTF-8 at byte 3
    hint: convert the file to UTF-8 first, for example with `iconv`
    ");
    assert!(!sandbox.has("data"));
}

#[test]
fn an_invalid_tokenizer_file() {
    let sandbox = Sandbox::with(&["texts", "hub"]);
    sandbox.write("empty.json", "");
    for (file, reason) in [
        ("empty.json", "EOF while parsing a value at line 1 column 0"),
        ("hub/config.json", "expected `,` or `}` at line 2 column 18"),
    ] {
        let printed = sandbox.covey(&["prepare", "texts", "--tokenizer", file, "--output=data"]);
        let expected = format!(
            "error: {file} is not a usable tokenizer: {reason}\n\
             hint: name a `tokenizer.json` of the `tokenizers` library, \
             such as `covey tokenizer train` writes\n"
        );
        assert_eq!(printed.complaint(FAILURE), expected);
    }
    assert!(!sandbox.has("data"));
}

#[test]
fn a_tokenizer_file_with_another_name() {
    let sandbox = Sandbox::with(&["texts"]);
    let shown =
        sandbox.covey(&["tokenizer", "train", "texts", "--output=words.json"]).complaint(USAGE);
    assert_snapshot!(shown, @r"
    error: the file name of words.json is not tokenizer.json
    hint: end the path with `tokenizer.json`, the name that `transformers` expects
    ");
}

#[test]
fn a_vocabulary_smaller_than_the_bytes() {
    let sandbox = Sandbox::with(&["texts"]);
    let shown =
        sandbox.covey(&["tokenizer", "train", "texts", "--vocab-size=100"]).complaint(USAGE);
    assert_snapshot!(shown, @r"
    training the tokenizer
    error: vocabulary size is 100, must be at least 257
    ");
    assert!(!sandbox.has("tokenizer.json"));
}

#[test]
fn shard_settings_out_of_range() {
    let sandbox = Sandbox::with(&["texts", "tokenizer"]);
    let prepare = ["prepare", "texts", "--tokenizer=tokenizer", "--output=data"];
    let with = |setting| [prepare.as_slice(), &[setting]].concat();
    assert_eq!(
        sandbox.covey(&with("--held-out=-0.1")).complaint(USAGE),
        "error: held-out fraction is -0.1, must be between 0 and 0.5\n"
    );
    assert_eq!(
        sandbox.covey(&with("--shard-tokens=0")).complaint(USAGE),
        "error: tokens of a shard is 0, must be at least 1\n"
    );
    assert!(!sandbox.has("data"));
}

#[test]
fn data_of_another_tokenizer_is_rejected_in_training() {
    let sandbox = Sandbox::with(&["hub", "trained", "data", "other-data"]);
    let from_hub = [
        "train",
        "--from=hub",
        "--data=other-data",
        "--output=run",
        "--set=data.sequence_length=32",
    ];
    assert_snapshot!(sandbox.covey(&from_hub).complaint(USAGE), @r"
    error: the tokenizer of the data differs from the one in hub
    hint: prepare the data with the tokenizer.json in that folder
    ");
    assert_snapshot!(sandbox.train(&["--data=other-data", "--output=run"]).complaint(USAGE), @r"
    error: data and other-data were prepared with different tokenizers
    hint: prepare all sources with one `tokenizer.json`
    ");
    let shown = sandbox.train(&["--set=model.vocab_size=100", "--output=run"]).complaint(USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: the data has token IDs up to 299, but the vocabulary of the model has 100 tokens
    hint: leave out `model.vocab_size` to take it from the data, or prepare the data with
        the tokenizer of the model
    ");
    assert!(!sandbox.has("run"));
}

#[test]
fn data_of_another_tokenizer_is_rejected_in_evaluation() {
    let sandbox = Sandbox::with(&["trained", "other-data"]);
    assert_snapshot!(sandbox.covey(&["eval", "trained", "--data=other-data"]).complaint(USAGE), @r"
    error: the tokenizer of other-data differs from the one of trained/checkpoints/step-00000040
    hint: prepare the text with the tokenizer.json of the model
    ");
}

#[test]
fn a_sequence_longer_than_every_shard() {
    let sandbox = Sandbox::with(&["texts/00.txt", "tokenizer"]);
    sandbox.succeed(&[
        "prepare",
        "texts",
        "--tokenizer=tokenizer",
        "--output=data",
        "--held-out=0.1",
    ]);
    let shown =
        sandbox.train(&["--set=data.sequence_length=256", "--output=run"]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: sequences of 256 tokens need 257 in one shard, the longest train shard of data
        has 118
    hint: use sequences of at most 117 tokens, or more text
    ");
    assert!(!sandbox.has("run"));
}

#[test]
fn a_sequence_longer_than_the_positions() {
    let sandbox = Sandbox::with(&["data", "hub", "trained"]);
    let shown = sandbox.train(&["--set=data.sequence_length=300", "--output=run"]).complaint(USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: 1 problem in the configuration
      --set  data.sequence_length = 300  must be at most `model.max_position_embeddings` =
        256 (preset tiny)
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
    let from_hub =
        ["train", "--from=hub", "--data=data", "--output=run", "--set=data.sequence_length=300"];
    assert_snapshot!(sandbox.covey(&from_hub).complaint(USAGE), @r"
    error: data.sequence_length = 300, but the model has 256 positions
    hint: use `--set data.sequence_length=256`
    ");
    assert!(!sandbox.has("run"));
    let shown = sandbox
        .covey(&["eval", "trained", "--data=data", "--sequence-length=300"])
        .complaint(USAGE);
    assert_snapshot!(shown, @r"
    error: windows of 300 tokens, but the model has 256 positions
    hint: use `--sequence-length 256` or less
    ");
}

#[test]
fn a_prompt_longer_than_the_positions() {
    let sandbox = Sandbox::with(&["hub"]);
    let prompt = "zebra ".repeat(100);
    let printed = sandbox.covey(&["generate", "hub", "--prompt", &prompt]);
    assert_snapshot!(printed.complaint(USAGE), @r"
    error: the prompt has 500 tokens, but the model has 256 positions
    hint: shorten the prompt
    ");
}

#[test]
fn impossible_sampling() {
    let sandbox = Sandbox::with(&["hub"]);
    let complaint = |setting| sandbox.covey(&["generate", "hub", setting]).complaint(USAGE);
    assert_eq!(
        complaint("--temperature=-1"),
        "error: temperature = -1 must be a number of at least 0\n"
    );
    assert_eq!(
        complaint("--temperature=nan"),
        "error: temperature = NaN must be a number of at least 0\n"
    );
    assert_eq!(complaint("--top-k=0"), "error: top_k = 0 must be at least 1\n");
    assert_eq!(complaint("--top-p=0"), "error: top_p = 0 must be above 0 and at most 1\n");
    assert_eq!(complaint("--top-p=1.5"), "error: top_p = 1.5 must be above 0 and at most 1\n");
    assert_snapshot!(complaint("--top-p=high"), @r"
    error: invalid value 'high' for '--top-p <SHARE>': invalid float literal

    For more information, try '--help'.
    ");
    let shown = sandbox.covey(&["generate", "hub", "--greedy", "--top-p=0.5"]).complaint(USAGE);
    assert_snapshot!(shown, @r"
    error: the argument '--greedy' cannot be used with '--top-p <SHARE>'

    Usage: covey generate --greedy <MODEL>

    For more information, try '--help'.
    ");
}

#[test]
fn counts_of_zero() {
    let sandbox = Sandbox::with(&["hub", "data"]);
    let shown = sandbox.covey(&["eval", "hub", "--data=data", "--windows=0"]).complaint(USAGE);
    assert_snapshot!(shown, @r"
    error: invalid value '0' for '--windows <COUNT>': must be a whole number, at least 1

    For more information, try '--help'.
    ");
    assert_snapshot!(sandbox.covey(&["generate", "hub", "--threads=0"]).complaint(USAGE), @r"
    error: the number of threads is 0
    hint: leave out `--threads` to use all cores
    ");
}

#[test]
fn unknown_devices() {
    let sandbox = Sandbox::with(&["data", "hub"]);
    let shown = sandbox.train(&["--device=gpu", "--output=run"]).complaint(USAGE);
    assert_snapshot!(folded(&shown), @r#"
    error: 1 problem in the configuration
      --device  run.device = "gpu"  must be `cpu`, `cpu:4` for four shards on it, or GPUs as
        `cuda:0`, `cuda:0-7`, `cuda:0,2`, `wgpu:0`
    hint: `covey config keys` lists every key with its meaning, unit and default
    "#);
    let shown = sandbox.covey(&["generate", "hub", "--device=tpu"]).complaint(USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: --device = tpu: must be `cpu`, `cpu:4` for four shards on it, or GPUs as
        `cuda:0`, `cuda:0-7`, `cuda:0,2`, `wgpu:0`
    ");
    assert!(!sandbox.has("run"));
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_without_support_in_this_build() {
    let sandbox = Sandbox::with(&["data", "hub"]);
    let message = "error: this program was built without cuda\n\
                   hint: build it with `cargo build --release --features cuda`, \
                   or use `--device cpu`\n";
    assert_eq!(sandbox.train(&["--device=cuda:0", "--output=run"]).complaint(USAGE), message);
    assert_eq!(sandbox.covey(&["generate", "hub", "--device=cuda:0"]).complaint(USAGE), message);
    assert!(!sandbox.has("run"));
}

#[test]
fn a_run_folder_with_another_run() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    let before = sandbox.read("trained/metrics.jsonl");
    assert_snapshot!(sandbox.train(&["--output=trained"]).complaint(USAGE), @r"
    error: trained already contains a run
    hint: use `--resume` to continue it, or choose another folder with `--output`
    ");
    assert_eq!(sandbox.read("trained/metrics.jsonl"), before);
}

#[test]
fn a_data_folder_with_another_dataset() {
    let sandbox = Sandbox::with(&["texts", "tokenizer", "other-tokenizer", "data"]);
    let before = sandbox.read("data/manifest.json");
    let prepare =
        |setting| sandbox.covey(&["prepare", "texts", "--output=data", "--held-out=0.1", setting]);
    sandbox.write("texts/new.txt", "one more text");
    assert_snapshot!(prepare("--tokenizer=tokenizer").complaint(FAILURE), @r"
    error: data already holds another dataset (made from other inputs or with other options)
    hint: choose another output folder or delete this one
    ");
    assert_snapshot!(prepare("--tokenizer=other-tokenizer").complaint(FAILURE), @r"
    error: data already holds another dataset (made with another tokenizer)
    hint: choose another output folder or delete this one
    ");
    assert_eq!(sandbox.read("data/manifest.json"), before);
}

#[test]
fn an_export_into_the_model_folder() {
    let sandbox = Sandbox::with(&["hub"]);
    let before = sandbox.read("hub/model.safetensors");
    assert_snapshot!(sandbox.covey(&["export", "hub", "--output=hub/../hub"]).complaint(USAGE), @r"
    error: the output folder hub/../hub is the model folder
    hint: choose another folder with `--output`
    ");
    assert_eq!(sandbox.read("hub/model.safetensors"), before);
}
