//! Damaged files: truncated, or with a flipped bit.

use insta::assert_snapshot;

use crate::support::fixtures::files_below;
use crate::support::sandbox::{FAILURE, Sandbox, folded};

#[test]
fn truncated_weights_of_a_hub_folder() {
    let sandbox = Sandbox::with(&["hub", "data"]);
    sandbox.truncate("hub/model.safetensors");
    let message = "error: `hub/model.safetensors` is truncated: expected 102504 bytes, got 51252\n\
                   hint: copy or download the file again\n";
    for arguments in [
        ["generate", "hub", "--greedy"],
        ["eval", "hub", "--data=data"],
        ["export", "hub", "--output=copy"],
        ["train", "--from=hub", "--data=data"],
    ] {
        assert_eq!(sandbox.covey(&arguments).complaint(FAILURE), message, "{arguments:?}");
    }
    assert!(!sandbox.has("copy/config.json") && !sandbox.has("runs"));
}

/// The Hub's format has no checksums. A flip is detected only if it breaks the header.
#[test]
fn flipped_bits_in_the_header_of_a_hub_folder() {
    let sandbox = Sandbox::with(&["hub"]);
    sandbox.flip("hub/model.safetensors", 4);
    assert_snapshot!(sandbox.covey(&["generate", "hub"]).complaint(FAILURE), @r"
    error: `hub/model.safetensors` is damaged: header of 4294969312 bytes, limit is 100000000
    hint: copy or download the file again
    ");
    sandbox.flip("hub/model.safetensors", 4);
    sandbox.flip("hub/model.safetensors", 8);
    let shown = sandbox.covey(&["generate", "hub"]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: `hub/model.safetensors` is damaged: header is not JSON: expected value at line 1
        column 1
    hint: copy or download the file again
    ");
}

#[test]
fn a_damaged_config_of_a_hub_folder() {
    let sandbox = Sandbox::with(&["hub"]);
    let config = String::from_utf8(sandbox.read("hub/config.json")).unwrap();
    sandbox.write(
        "hub/config.json",
        config.replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 3"),
    );
    assert_snapshot!(sandbox.covey(&["generate", "hub"]).complaint(FAILURE), @r"
    error: `hub/config.json` has an invalid field
      caused by: num_key_value_heads = 2 must divide num_attention_heads = 3
    hint: correct the field, or download the original file again
    ");
    sandbox.write("hub/config.json", "{");
    assert_snapshot!(sandbox.covey(&["generate", "hub"]).complaint(FAILURE), @r"
    error: cannot parse `hub/config.json`
      caused by: EOF while parsing an object at line 1 column 1
    hint: compare the file with the original
    ");
}

#[test]
fn a_truncated_shard() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    sandbox.truncate("data/train-00000.safetensors");
    assert_snapshot!(sandbox.train(&["--output=run"]).complaint(FAILURE), @r"
    error: shard data/train-00000.safetensors has 3548 bytes, the manifest lists 7096
    hint: copy the file again from its origin, or delete the folder and prepare it again
    ");
    assert!(!sandbox.has("run"));
}

#[test]
fn a_flipped_bit_in_a_shard() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    // In the header, and then in the tokens, where only the digest can detect it.
    sandbox.flip("data/train-00000.safetensors", 8);
    let shown = sandbox.train(&["--output=run"]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: shard data/train-00000.safetensors is damaged: header: expected value at line 1
        column 1
    hint: copy the file again from its origin, or delete the folder and prepare it again
    ");
    sandbox.flip("data/train-00000.safetensors", 8);
    sandbox.flip("data/train-00000.safetensors", 5000);
    assert_snapshot!(sandbox.train(&["--output=run"]).complaint(FAILURE), @r"
    error: data/train-00000.safetensors has changed: its digest is HASH, the manifest lists HASH
    hint: copy the file again from its origin, or delete the folder and prepare it again
    ");
    assert!(!sandbox.has("run"));
    sandbox.flip("data/held-out-00000.safetensors", 1500);
    let shown = sandbox.covey(&["eval", "trained", "--data=data"]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: data/held-out-00000.safetensors has changed: its digest is HASH, the manifest
        lists HASH
    hint: copy the file again from its origin, or delete the folder and prepare it again
    ");
}

#[test]
fn a_damaged_manifest() {
    let sandbox = Sandbox::with(&["data"]);
    sandbox.truncate("data/manifest.json");
    let complaint = sandbox.train(&["--output=run"]).complaint(FAILURE);
    assert!(complaint.starts_with("error: data/manifest.json is damaged: "), "{complaint}");
    assert!(complaint.ends_with("hint: prepare the dataset again\n"), "{complaint}");
    assert!(!sandbox.has("run"));
}

#[test]
fn a_flipped_bit_in_a_checkpoint() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    let newest = "trained/checkpoints/step-00000040";
    sandbox.flip(&format!("{newest}/model.safetensors"), 9000);
    // The damage is an error if the checkpoint is named, and a warning if the run is named.
    let shown = sandbox.covey(&["generate", newest]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: checkpoint trained/checkpoints/step-00000040 is damaged: model.safetensors does
        not match its digest (BLAKE3 HASH, expected HASH)
    hint: use an older checkpoint; `--resume` continues from the newest intact one
    ");
    let from =
        ["train", "--data=data", "--output=run", "--set=data.sequence_length=32", "--from", newest];
    let shown = sandbox.covey(&from).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: checkpoint trained/checkpoints/step-00000040 is damaged: model.safetensors does
        not match its digest (BLAKE3 HASH, expected HASH)
    hint: use an older checkpoint; `--resume` continues from the newest intact one
    ");
    assert!(!sandbox.has("run"));
    let shown = sandbox.covey(&["export", "trained", "--output=hub"]).complaint(0);
    assert_snapshot!(folded(&shown), @r"
    warning: passed over trained/checkpoints/step-00000040: checkpoint
        trained/checkpoints/step-00000040 is damaged: model.safetensors does not match its
        digest (BLAKE3 HASH, expected HASH)
    exported trained/checkpoints/step-00000030 to hub
    ");
}

#[test]
fn a_truncated_checkpoint() {
    let sandbox = Sandbox::with(&["trained"]);
    sandbox.truncate("trained/checkpoints/step-00000040/model.safetensors");
    let shown =
        sandbox.covey(&["generate", "trained/checkpoints/step-00000040"]).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: checkpoint trained/checkpoints/step-00000040 is damaged: model.safetensors has
        51252 bytes, expected 102504
    hint: use an older checkpoint; `--resume` continues from the newest intact one
    ");
}

/// The step size is too large: the run stops with an error, and earlier checkpoints stay intact.
#[test]
fn a_run_that_diverges() {
    let sandbox = Sandbox::with(&["data", "trained"]);
    let before = files_below(&sandbox.path("trained/checkpoints/step-00000040"));
    let wild = ["--steps=60", "--set=optim.learning_rate=1e30", "--set=optim.clip_norm=none"];
    let resumed =
        sandbox.covey(&[&["train", "--resume", "--output=trained"], wild.as_slice()].concat());
    let complaint = resumed.complaint(FAILURE);
    // The size of the loss depends on the processor.
    let (before_loss, rest) = complaint.split_once("(loss ").unwrap();
    let (_, after_loss) = rest.split_once(')').unwrap();
    let shown = format!("{before_loss}(loss LOSS){after_loss}");
    assert_snapshot!(folded(&shown), @r"
    continuing from trained/checkpoints/step-00000040
    25120 parameters, 2 layers of width 32, vocabulary 300; needs about 1.00 MB
    error: at step 42 the gradient of model.embed_tokens.weight is not finite (loss LOSS)
    hint: lower the learning rate: start again, or continue from the last checkpoint with
        `--resume --set optim.learning_rate=…`
    ");
    assert!(files_below(&sandbox.path("trained/checkpoints/step-00000040")) == before);
    sandbox.succeed(&["train", "--resume", "--output=trained", "--steps=45"]);

    let begun = sandbox.train(&[&["--output=run"], wild.as_slice()].concat()).complaint(FAILURE);
    assert!(begun.contains("is not finite"), "{begun}");
    // Without a checkpoint, the run may start again in the same folder, as the hint states.
    assert_eq!(sandbox.train(&["--output=run", "--steps=3"]).code, Some(0));
}
