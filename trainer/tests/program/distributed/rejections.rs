//! Invalid distributed runs: each is rejected with one reason, before any cost.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::distributed::peers::{
    created, creation, finish, joining, peer, sandbox_with_keys, validating, validator,
};
use crate::support::fixtures::files_below;
use crate::support::sandbox::{FAILURE, Sandbox, USAGE, folded};

/// Joining fails with the returned message, before any data is downloaded.
fn rejected_join(sandbox: &Sandbox, more: &[&str], code: i32) -> String {
    let complaint = sandbox.covey(&joining("bucket", "peer-1", more)).complaint(code);
    assert!(!sandbox.has("peer-1/data") && !sandbox.has("peer-1/checkpoints"), "{complaint}");
    complaint
}

fn rejected_init(sandbox: &Sandbox, more: &[&str], code: i32) -> String {
    let complaint = sandbox.covey(&creation("bucket", more)).complaint(code);
    assert!(!sandbox.has("bucket/run"), "{complaint}");
    complaint
}

#[test]
fn a_missing_bucket() {
    let sandbox = sandbox_with_keys(&[]);
    for arguments in
        [joining("bucket", "peer-1", &[]), validating("bucket", &[]), vec!["status", "bucket"]]
    {
        let complaint = sandbox.covey(&arguments).complaint(FAILURE);
        assert_eq!(
            complaint,
            "error: bucket not found: bucket\n\
             hint: create the bucket or folder, or correct its URL\n"
        );
    }
    let shown = sandbox.covey(&["join", "ftp://host/bucket"]).complaint(USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: `ftp://host/bucket` is not a bucket URL: the scheme must be s3, file or memory
    hint: write s3://bucket/prefix, file:///folder or memory://; options follow as
        ?endpoint=…&region=…
    ");
    let shown = sandbox.covey(&["join", "s3://bucket?key=hush"]).complaint(USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: `s3://…` is not a bucket URL: option `key` is unknown, expected endpoint or
        region
    hint: write s3://bucket/prefix, file:///folder or memory://; options follow as
        ?endpoint=…&region=…
    ");
}

#[test]
fn a_bucket_without_a_run() {
    let sandbox = sandbox_with_keys(&[]);
    fs::create_dir(sandbox.path("bucket")).unwrap();
    assert_snapshot!(rejected_join(&sandbox, &[], FAILURE), @r"
    error: bucket holds no run
    hint: create a run with `covey init`, or correct the URL of the bucket
    ");
    assert_snapshot!(sandbox.covey(&validating("bucket", &[])).complaint(FAILURE), @r"
    error: bucket holds no run
    hint: create a run with `covey init`, or correct the URL of the bucket
    ");
    assert_snapshot!(sandbox.covey(&["status", "bucket"]).complaint(FAILURE), @r"
    error: bucket holds no run
    hint: create a run with `covey init`, or correct the URL of the bucket
    ");
    assert!(files_below(&sandbox.path("bucket")).is_empty());
}

#[test]
fn a_bucket_with_another_run() {
    let sandbox = created(&[]);
    let expected = format!("--run={}", "ab".repeat(32));
    assert_snapshot!(rejected_join(&sandbox, &[&expected], FAILURE), @r"
    error: bucket holds run HASH, not HASH
    hint: use another prefix of the bucket, or compare the URL with the announced one
    ");
    assert_snapshot!(sandbox.covey(&validating("bucket", &[&expected])).complaint(FAILURE), @r"
    error: bucket holds run HASH, not HASH
    hint: use another prefix of the bucket, or compare the URL with the announced one
    ");
    assert_snapshot!(sandbox.covey(&["status", "bucket", &expected]).complaint(FAILURE), @r"
    error: bucket holds run HASH, not HASH
    hint: use another prefix of the bucket, or compare the URL with the announced one
    ");
    let shown = sandbox.covey(&joining("bucket", "peer-1", &["--run=first"])).complaint(USAGE);
    assert_snapshot!(shown, @r"
    error: invalid value 'first' for '--run <ID>': not 64 lower-case hexadecimal digits

    For more information, try '--help'.
    ");
}

#[test]
fn two_runs_in_one_bucket() {
    let sandbox = created(&[]);
    let before = files_below(&sandbox.path("bucket"));
    assert_snapshot!(sandbox.covey(&creation("bucket", &["--seed=7"])).complaint(FAILURE), @r"
    error: bucket holds run HASH, not HASH
    hint: use another prefix of the bucket, or compare the URL with the announced one
    ");
    assert!(files_below(&sandbox.path("bucket")) == before);
}

#[test]
fn a_configuration_key_fixed_by_the_run() {
    let sandbox = created(&[]);
    assert_snapshot!(rejected_join(&sandbox, &["--set=optim.learning_rate=1"], USAGE), @r"
    error: optim.learning_rate = 1.0, but the run has 0.004
    hint: leave `optim.learning_rate` out; all peers of a run train with the same value
    ");
    assert_snapshot!(rejected_join(&sandbox, &["--set=model.hidden_size=64"], USAGE), @r"
    error: model.hidden_size = 64, but the run has 32
    hint: leave `model.hidden_size` out; all peers of a run train with the same value
    ");
    assert_snapshot!(rejected_join(&sandbox, &["--set=sparseloco.k=8"], USAGE), @r"
    error: sparseloco.k = 8, but the run has 64
    hint: leave `sparseloco.k` out; all peers of a run train with the same value
    ");
    // A setting with the value of the run is allowed.
    let same = ["--set=rounds.inner_steps=2", "--set=train.batch_size=8"];
    finish([
        validator(&sandbox, &[]),
        peer(&sandbox, "peer-1", &same),
        peer(&sandbox, "peer-2", &[]),
    ]);
}

#[test]
fn an_unknown_configuration_key() {
    let sandbox = created(&[]);
    assert_snapshot!(rejected_join(&sandbox, &["--set=comms.pol=1"], USAGE), @r"
    error: 1 problem in the configuration
      --set  comms.pol = 1  unknown key, did you mean `comms.poll_interval`?
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
    assert_snapshot!(rejected_join(&sandbox, &["--set=train.micro_batch_size=3"], USAGE), @r"
    error: 1 problem in the configuration
      --set  train.micro_batch_size = 3  must divide `train.batch_size` = 8 (preset tiny)
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
}

#[test]
fn steps_that_are_not_whole_rounds() {
    let sandbox = sandbox_with_keys(&["data"]);
    assert_snapshot!(rejected_init(&sandbox, &["--set=rounds.inner_steps=5"], USAGE), @r"
    error: rounds.inner_steps = 5 does not divide train.steps = 12
    hint: use whole rounds, such as `--steps 10`
    ");
}

#[test]
fn more_peers_than_the_text_allows() {
    let sandbox = sandbox_with_keys(&["data"]);
    assert_snapshot!(rejected_init(&sandbox, &["--set=rounds.max_included=64"], USAGE), @r"
    error: the data has windows for 6 peers per round, 16 each, but rounds.max_included = 64
    hint: prepare more text, or use `--set rounds.max_included=6`
    ");
    let shown =
        rejected_init(&sandbox, &["--set=train.steps=120", "--set=rounds.inner_steps=60"], USAGE);
    assert_snapshot!(shown, @r"
    error: the data has windows for 0 peers per round, 480 each, but rounds.max_included = 4
    hint: prepare more text, or lower rounds.inner_steps or train.batch_size
    ");
}

#[test]
fn fewer_slots_than_required_peers() {
    let sandbox = sandbox_with_keys(&["data"]);
    assert_snapshot!(rejected_init(&sandbox, &["--set=rounds.min_peers=5"], USAGE), @r"
    error: 1 problem in the configuration
      --set  rounds.min_peers = 5  must be at most `rounds.max_included` = 4 (--set)
    hint: `covey config keys` lists every key with its meaning, unit and default
    ");
}

#[test]
fn data_of_another_run() {
    let sandbox = created(&[]);
    sandbox.write("texts/00.txt", "other words\n".repeat(200));
    sandbox.succeed(&["prepare", "texts", "--tokenizer=data/tokenizer.json", "--output=other"]);
    assert_snapshot!(masked_short(&rejected_join(&sandbox, &["--data=other"], USAGE)), @r"
    error: none of other contains the run's dataset SHORT
    hint: leave out `--data` to download it from the bucket
    ");
    assert_snapshot!(rejected_join(&sandbox, &["--data=nowhere"], FAILURE), @r"
    error: nowhere does not exist
    hint: check the spelling; relative paths start at the current folder
    ");
}

#[test]
fn data_that_is_neither_local_nor_in_the_bucket() {
    let sandbox = created(&["--without-data"]);
    let shown = masked_short(&rejected_join(&sandbox, &[], USAGE));
    assert_snapshot!(folded(&shown), @r"
    error: the bucket does not contain the run's dataset SHORT
    hint: name its folder with `--data`; prepare the same text with the run's tokenizer and
        the same settings, or copy the prepared folder
    ");
}

/// Short digests depend on the text only, but mean nothing to a reader.
fn masked_short(text: &str) -> String {
    text.split_inclusive([' ', '\n'])
        .map(|word: &str| {
            let bare = word.trim_end();
            let is_short = bare.len() == 8 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_short { word.replace(bare, "SHORT") } else { word.to_owned() }
        })
        .collect()
}

#[test]
fn a_key_file_readable_by_other_users() {
    let sandbox = created(&[]);
    for key in ["peer-1/peer.key", "validator.key"] {
        fs::set_permissions(sandbox.path(key), Permissions::from_mode(0o644)).unwrap();
    }
    let shown = rejected_join(&sandbox, &[], FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: key file peer-1/peer.key has mode 644: other users can read it
    hint: run `chmod 600 peer-1/peer.key`; create a new key if another user may have read
        this one
    ");
    assert_snapshot!(sandbox.covey(&validating("bucket", &[])).complaint(FAILURE), @r"
    error: key file validator.key has mode 644: other users can read it
    hint: run `chmod 600 validator.key`; create a new key if another user may have read this one
    ");
    sandbox.write("peer-2/peer.key", "no key\n");
    let shown = sandbox.covey(&joining("bucket", "peer-2", &[])).complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: key file peer-2/peer.key does not hold one line `covey-key-1 ` with 64
        hexadecimal digits
    hint: restore the file from a copy; a lost key cannot be computed again
    ");
}

#[test]
fn a_key_that_is_not_a_validator() {
    let sandbox = created(&[]);
    assert_snapshot!(sandbox.covey(&["validate", "bucket"]).complaint(USAGE), @r"
    error: key file runs/run/validator.key does not exist
    hint: name the key file that `covey init` or `covey id` created with `--key`
    ");
    let complaint =
        sandbox.covey(&["validate", "bucket", "--key=peer-1/peer.key"]).complaint(FAILURE);
    assert_snapshot!(complaint, @r"
    error: 8a88e3dd is not a validator of the run
    hint: use the key of a validator in the run's description
    ");
    assert!(!sandbox.has("bucket/rounds"));
}

#[test]
fn a_folder_of_another_run() {
    let sandbox = created(&["--set=rounds.min_peers=1"]);
    finish([validator(&sandbox, &[]), peer(&sandbox, "peer-1", &[])]);
    let before = files_below(&sandbox.path("peer-1/checkpoints"));
    sandbox.succeed(&creation("other", &["--seed=7", "--set=rounds.min_peers=1"]));
    let shown = sandbox.covey(&joining("other", "peer-1", &[])).complaint(USAGE);
    assert_snapshot!(folded(&shown), @r"
    continuing from peer-1/checkpoints/step-00000012
    error: peer-1/checkpoints/step-00000012 belongs to run HASH, but the bucket contains run
        HASH
    hint: choose another folder with `--output`
    ");
    assert!(files_below(&sandbox.path("peer-1/checkpoints")) == before);
    assert!(!sandbox.has("other/peers"));
}

#[test]
fn a_folder_of_a_local_run() {
    let sandbox = sandbox_with_keys(&["data", "trained"]);
    sandbox.succeed(&creation("bucket", &[]));
    let before = files_below(&sandbox.path("trained"));
    let shown = sandbox.covey(&joining("bucket", "trained", &["--data=data"])).complaint(USAGE);
    assert_snapshot!(shown, @r"
    continuing from trained/checkpoints/step-00000040
    error: trained/checkpoints/step-00000040 is not a checkpoint of a distributed run
    hint: choose another folder with `--output`
    ");
    let after = files_below(&sandbox.path("trained"));
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
}

#[test]
fn a_folder_in_use_by_another_process() {
    let sandbox = created(&[]);
    let mut running = peer(&sandbox, "peer-1", &[]);
    running.wait_until(|| sandbox.has("peer-1/checkpoints/.lock"));
    let second = sandbox.covey(&joining("bucket", "peer-1", &[])).complaint(FAILURE);
    assert_snapshot!(second, @r"
    error: peer-1 is in use by another process
    hint: wait for it to end, stop it, or choose another folder with `--output`
    ");
    assert_eq!(running.kill().code, None, "the first process must continue");
}

#[test]
fn a_full_bucket() {
    let sandbox = sandbox_with_keys(&["data"]);
    let shown = sandbox
        .covey_with_file_limit(64, &creation("bucket", &["--set=rounds.min_peers=1"]))
        .complaint(FAILURE);
    assert_snapshot!(folded(&shown), @r"
    error: bucket is full, checkpoints/0000000000/parts/HASH was not written
      caused by: Generic LocalFileSystem error: Unable to copy data to file: File too large
        (os error 27)
    hint: free space or raise the quota; objects already written are complete
    ");
    sandbox.succeed(&creation("bucket", &["--set=rounds.min_peers=1"]));
    finish([validator(&sandbox, &[]), peer(&sandbox, "peer-1", &[])]);
}
