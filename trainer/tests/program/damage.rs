//! Files that are not as they were written: truncated, or with a flipped bit.

use insta::assert_snapshot;

use crate::desk::{Desk, FAILURE};
use crate::materials::files_below;

#[test]
fn truncated_weights_of_a_hub_folder() {
    let desk = Desk::with(&["hub", "data"]);
    desk.truncate("hub/model.safetensors");
    let message = "error: `hub/model.safetensors` is truncated: 102504 bytes expected, got 51252\n\
                   hint: copy or download the file again\n";
    for arguments in [
        ["generate", "hub", "--greedy"],
        ["eval", "hub", "--data=data"],
        ["export", "hub", "--output=copy"],
        ["train", "--from=hub", "--data=data"],
    ] {
        assert_eq!(desk.covey(&arguments).complaint(FAILURE), message, "{arguments:?}");
    }
    assert!(!desk.has("copy/config.json") && !desk.has("runs"));
}

/// The Hub's format has no checksums; a flip is found where it breaks the header.
#[test]
fn flipped_bits_in_the_header_of_a_hub_folder() {
    let desk = Desk::with(&["hub"]);
    desk.flip("hub/model.safetensors", 4);
    assert_snapshot!(desk.covey(&["generate", "hub"]).complaint(FAILURE), @r"
    error: `hub/model.safetensors` is damaged: a header of 4294969312 bytes is no safetensors header
    hint: copy or download the file again
    ");
    desk.flip("hub/model.safetensors", 4);
    desk.flip("hub/model.safetensors", 8);
    assert_snapshot!(desk.covey(&["generate", "hub"]).complaint(FAILURE), @r"
    error: `hub/model.safetensors` is damaged: its header is no JSON: expected value at line 1 column 1
    hint: copy or download the file again
    ");
}

#[test]
fn a_config_of_a_hub_folder_that_is_broken() {
    let desk = Desk::with(&["hub"]);
    let config = String::from_utf8(desk.read("hub/config.json")).unwrap();
    desk.write("hub/config.json", config.replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 3"));
    assert_snapshot!(desk.covey(&["generate", "hub"]).complaint(FAILURE), @r"
    error: `hub/config.json` is inconsistent
      caused by: num_key_value_heads = 2 must divide num_attention_heads = 3
    hint: correct the field, or fetch the original file again
    ");
    desk.write("hub/config.json", "{");
    assert_snapshot!(desk.covey(&["generate", "hub"]).complaint(FAILURE), @r"
    error: `hub/config.json` cannot be understood
      caused by: EOF while parsing an object at line 1 column 1
    hint: compare the file with its original
    ");
}

#[test]
fn a_truncated_shard() {
    let desk = Desk::with(&["data", "trained"]);
    desk.truncate("data/train-00000.safetensors");
    assert_snapshot!(desk.train(&["--output=run"]).complaint(FAILURE), @r"
    error: shard data/train-00000.safetensors has 3548 bytes, the manifest says 7096
    hint: copy the file again from its origin, or delete the folder and prepare it again
    ");
    assert!(!desk.has("run"));
}

#[test]
fn a_flipped_bit_in_a_shard() {
    let desk = Desk::with(&["data", "trained"]);
    // In the header, and then among the tokens, where only the digest tells.
    desk.flip("data/train-00000.safetensors", 8);
    assert_snapshot!(desk.train(&["--output=run"]).complaint(FAILURE), @r"
    error: shard data/train-00000.safetensors is damaged: header: expected value at line 1 column 1
    hint: copy the file again from its origin, or delete the folder and prepare it again
    ");
    desk.flip("data/train-00000.safetensors", 8);
    desk.flip("data/train-00000.safetensors", 5000);
    assert_snapshot!(desk.train(&["--output=run"]).complaint(FAILURE), @r"
    error: data/train-00000.safetensors has changed: digest HASH, the manifest says HASH
    hint: copy the file again from its origin, or delete the folder and prepare it again
    ");
    assert!(!desk.has("run"));
    desk.flip("data/held-out-00000.safetensors", 1500);
    assert_snapshot!(desk.covey(&["eval", "trained", "--data=data"]).complaint(FAILURE), @r"
    error: data/held-out-00000.safetensors has changed: digest HASH, the manifest says HASH
    hint: copy the file again from its origin, or delete the folder and prepare it again
    ");
}

#[test]
fn a_damaged_manifest() {
    let desk = Desk::with(&["data"]);
    desk.truncate("data/manifest.json");
    let complaint = desk.train(&["--output=run"]).complaint(FAILURE);
    assert!(complaint.starts_with("error: data/manifest.json is damaged: "), "{complaint}");
    assert!(complaint.ends_with("hint: prepare the dataset again\n"), "{complaint}");
    assert!(!desk.has("run"));
}

#[test]
fn a_flipped_bit_in_a_checkpoint() {
    let desk = Desk::with(&["data", "trained"]);
    let newest = "trained/checkpoints/step-00000040";
    desk.flip(&format!("{newest}/model.safetensors"), 9000);
    // Named itself it is an error; as the newest of its run it is passed over.
    assert_snapshot!(desk.covey(&["generate", newest]).complaint(FAILURE), @r"
    error: checkpoint trained/checkpoints/step-00000040 is damaged: model.safetensors has other contents than were written (BLAKE3 HASH, expected HASH)
    hint: remove this folder and use an older checkpoint; `--resume` finds the newest intact one
    ");
    let from = ["train", "--data=data", "--output=run", "--set=data.sequence_length=32", "--from", newest];
    assert_snapshot!(desk.covey(&from).complaint(FAILURE), @r"
    error: checkpoint trained/checkpoints/step-00000040 is damaged: model.safetensors has other contents than were written (BLAKE3 HASH, expected HASH)
    hint: remove this folder and use an older checkpoint; `--resume` finds the newest intact one
    ");
    assert!(!desk.has("run"));
    assert_snapshot!(desk.covey(&["export", "trained", "--output=hub"]).complaint(0), @r"
    warning: passed over trained/checkpoints/step-00000040: checkpoint trained/checkpoints/step-00000040 is damaged: model.safetensors has other contents than were written (BLAKE3 HASH, expected HASH)
    exported trained/checkpoints/step-00000030 to hub
    ");
}

#[test]
fn a_truncated_checkpoint() {
    let desk = Desk::with(&["trained"]);
    desk.truncate("trained/checkpoints/step-00000040/model.safetensors");
    assert_snapshot!(desk.covey(&["generate", "trained/checkpoints/step-00000040"]).complaint(FAILURE), @r"
    error: checkpoint trained/checkpoints/step-00000040 is damaged: model.safetensors has 51252 bytes, expected 102504
    hint: remove this folder and use an older checkpoint; `--resume` finds the newest intact one
    ");
}

/// Too large a step: the run ends by itself, and what was saved before stays good.
#[test]
fn a_run_that_diverges() {
    let desk = Desk::with(&["data", "trained"]);
    let before = files_below(&desk.path("trained/checkpoints/step-00000040"));
    let wild = ["--steps=60", "--set=optim.learning_rate=1e30", "--set=optim.clip_norm=none"];
    let resumed = desk.covey(&[&["train", "--resume", "--output=trained"], wild.as_slice()].concat());
    let complaint = resumed.complaint(FAILURE);
    // How large it was depends on the processor.
    let (before_loss, rest) = complaint.split_once("(loss ").unwrap();
    let (_, after_loss) = rest.split_once(')').unwrap();
    assert_snapshot!(format!("{before_loss}(loss LOSS){after_loss}"), @r"
    going on from trained/checkpoints/step-00000040
    25120 parameters, 2 layers of width 32, vocabulary 300; needs about 1.00 MB
    error: at step 42 the gradient of model.embed_tokens.weight is not finite (loss LOSS)
    hint: choose a lower learning rate: begin again, or go on from the last checkpoint with `--resume --set optim.learning_rate=…`
    ");
    assert!(files_below(&desk.path("trained/checkpoints/step-00000040")) == before);
    desk.succeed(&["train", "--resume", "--output=trained", "--steps=45"]);

    let begun = desk.train(&[&["--output=run"], wild.as_slice()].concat()).complaint(FAILURE);
    assert!(begun.contains("is not finite"), "{begun}");
    // As the hint says: without a checkpoint, the run may begin again in the same folder.
    assert_eq!(desk.train(&["--output=run", "--steps=3"]).code, Some(0));
}
