//! Runs with others that cannot be: each with one clear reason, before anything is spent.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use crate::common_run::{
    coordinating, coordinator, desk_with_keys, finish, founded, founding, joining, num_rounds, peer,
};
use crate::desk::{Desk, FAILURE, USAGE};
use crate::materials::files_below;

/// Joining fails, says this, and has not even fetched the data.
fn join_refused(desk: &Desk, more: &[&str], code: i32) -> String {
    let complaint = desk.covey(&joining("bucket", "peer-1", more)).complaint(code);
    assert!(!desk.has("peer-1/data") && !desk.has("peer-1/checkpoints"), "{complaint}");
    complaint
}

fn init_refused(desk: &Desk, more: &[&str], code: i32) -> String {
    let complaint = desk.covey(&founding("bucket", more)).complaint(code);
    assert!(!desk.has("bucket/run"), "{complaint}");
    complaint
}

#[test]
fn a_bucket_that_is_not_there() {
    let desk = desk_with_keys(&[]);
    for arguments in [joining("bucket", "peer-1", &[]), coordinating("bucket", &[]), vec!["status", "bucket"]] {
        let complaint = desk.covey(&arguments).complaint(FAILURE);
        assert_eq!(complaint, "error: no bucket for bucket\nhint: create the bucket or folder, or correct its URL\n");
    }
    assert_snapshot!(desk.covey(&["join", "ftp://host/bucket"]).complaint(USAGE), @"");
    assert_snapshot!(desk.covey(&["join", "s3://bucket?key=hush"]).complaint(USAGE), @"");
}

#[test]
fn a_folder_that_holds_no_run() {
    let desk = desk_with_keys(&[]);
    fs::create_dir(desk.path("bucket")).unwrap();
    assert_snapshot!(join_refused(&desk, &[], FAILURE), @"");
    assert_snapshot!(desk.covey(&coordinating("bucket", &[])).complaint(FAILURE), @"");
    assert_snapshot!(desk.covey(&["status", "bucket"]).complaint(FAILURE), @"");
    assert!(files_below(&desk.path("bucket")).is_empty());
}

#[test]
fn another_run_than_the_announced_one() {
    let desk = founded(&[]);
    let expected = format!("--run={}", "ab".repeat(32));
    assert_snapshot!(join_refused(&desk, &[&expected], FAILURE), @"");
    assert_snapshot!(desk.covey(&coordinating("bucket", &[&expected])).complaint(FAILURE), @"");
    assert_snapshot!(desk.covey(&["status", "bucket", &expected]).complaint(FAILURE), @"");
    assert_snapshot!(desk.covey(&joining("bucket", "peer-1", &["--run=first"])).complaint(USAGE), @"");
}

#[test]
fn two_runs_in_one_bucket() {
    let desk = founded(&[]);
    let before = files_below(&desk.path("bucket"));
    assert_snapshot!(desk.covey(&founding("bucket", &["--seed=7"])).complaint(FAILURE), @"");
    assert!(files_below(&desk.path("bucket")) == before);
}

#[test]
fn a_key_that_the_run_fixes() {
    let desk = founded(&[]);
    assert_snapshot!(join_refused(&desk, &["--set=optim.learning_rate=1"], USAGE), @"");
    assert_snapshot!(join_refused(&desk, &["--set=model.hidden_size=64"], USAGE), @"");
    assert_snapshot!(join_refused(&desk, &["--set=sparseloco.k=8"], USAGE), @"");
    // Saying the same is no contradiction.
    let same = ["--set=rounds.inner_steps=2", "--set=train.batch_size=8"];
    finish([coordinator(&desk, &[]), peer(&desk, "peer-1", &same), peer(&desk, "peer-2", &[])]);
}

#[test]
fn a_key_that_there_is_not() {
    let desk = founded(&[]);
    assert_snapshot!(join_refused(&desk, &["--set=comms.pol=1"], USAGE), @"");
    assert_snapshot!(join_refused(&desk, &["--set=train.micro_batch_size=3"], USAGE), @"");
}

#[test]
fn steps_that_are_no_whole_rounds() {
    let desk = desk_with_keys(&["data"]);
    assert_snapshot!(init_refused(&desk, &["--set=rounds.inner_steps=5"], USAGE), @"");
}

#[test]
fn more_peers_than_there_is_text_for() {
    let desk = desk_with_keys(&["data"]);
    assert_snapshot!(init_refused(&desk, &["--set=rounds.max_included=64"], USAGE), @"");
    assert_snapshot!(init_refused(&desk, &["--set=train.steps=120", "--set=rounds.inner_steps=60"], USAGE), @"");
}

#[test]
fn fewer_seats_than_peers_to_wait_for() {
    let desk = desk_with_keys(&["data"]);
    assert_snapshot!(init_refused(&desk, &["--set=rounds.min_peers=5"], USAGE), @"");
}

#[test]
fn data_that_is_not_the_runs() {
    let desk = founded(&[]);
    desk.write("texts/00.txt", "other words\n".repeat(200));
    desk.succeed(&["prepare", "texts", "--tokenizer=data/tokenizer.json", "--output=other"]);
    assert_snapshot!(masked_short(&join_refused(&desk, &["--data=other"], USAGE)), @"");
    assert_snapshot!(join_refused(&desk, &["--data=nowhere"], FAILURE), @"");
}

#[test]
fn data_that_is_neither_here_nor_there() {
    let desk = founded(&["--without-data"]);
    assert_snapshot!(masked_short(&join_refused(&desk, &[], USAGE)), @"");
}

/// Short digests depend on nothing but the text, but say nothing to a reader either.
fn masked_short(text: &str) -> String {
    let mask = |word: &str| {
        let bare = word.trim_end();
        let is_short = bare.len() == 8 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_short { word.replace(bare, "SHORT") } else { word.to_owned() }
    };
    text.split_inclusive([' ', '\n']).map(mask).collect()
}

#[test]
fn a_key_file_that_others_may_read() {
    let desk = founded(&[]);
    for key in ["peer-1/peer.key", "coordinator.key"] {
        fs::set_permissions(desk.path(key), Permissions::from_mode(0o644)).unwrap();
    }
    assert_snapshot!(join_refused(&desk, &[], FAILURE), @"");
    assert_snapshot!(desk.covey(&coordinating("bucket", &[])).complaint(FAILURE), @"");
    desk.write("peer-2/peer.key", "no key\n");
    assert_snapshot!(desk.covey(&joining("bucket", "peer-2", &[])).complaint(FAILURE), @"");
}

#[test]
fn a_coordinator_that_is_none() {
    let desk = founded(&[]);
    assert_snapshot!(desk.covey(&["coordinate", "bucket"]).complaint(USAGE), @"");
    let complaint = desk.covey(&["coordinate", "bucket", "--key=peer-1/peer.key"]).complaint(FAILURE);
    assert_snapshot!(complaint, @"");
    assert!(!desk.has("bucket/rounds"));
}

#[test]
fn a_folder_of_another_run() {
    let desk = founded(&["--set=rounds.min_peers=1"]);
    finish([coordinator(&desk, &[]), peer(&desk, "peer-1", &[])]);
    let before = files_below(&desk.path("peer-1/checkpoints"));
    desk.succeed(&founding("other", &["--seed=7", "--set=rounds.min_peers=1"]));
    assert_snapshot!(desk.covey(&joining("other", "peer-1", &[])).complaint(USAGE), @"");
    assert!(files_below(&desk.path("peer-1/checkpoints")) == before);
    assert!(!desk.has("other/peers"));
}

#[test]
fn a_folder_of_a_run_that_was_trained_alone() {
    let desk = desk_with_keys(&["data", "trained"]);
    desk.succeed(&founding("bucket", &[]));
    let before = files_below(&desk.path("trained"));
    assert_snapshot!(desk.covey(&joining("bucket", "trained", &["--data=data"])).complaint(USAGE), @"");
    let after = files_below(&desk.path("trained"));
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
}

#[test]
fn a_folder_that_another_process_uses() {
    let desk = founded(&[]);
    let mut running = peer(&desk, "peer-1", &[]);
    running.wait_until(|| desk.has("peer-1/checkpoints/.lock"));
    let second = desk.covey(&joining("bucket", "peer-1", &[])).complaint(FAILURE);
    assert_snapshot!(second, @"");
    assert_eq!(running.kill().code, None, "the first must not be disturbed");
}

#[test]
fn a_bucket_that_is_full() {
    let desk = desk_with_keys(&["data"]);
    assert_snapshot!(desk.cramped(64, &founding("bucket", &["--set=rounds.min_peers=1"])).complaint(FAILURE), @"");
    desk.succeed(&founding("bucket", &["--set=rounds.min_peers=1"]));
    finish([coordinator(&desk, &[]), peer(&desk, "peer-1", &[])]);
}

#[test]
fn a_damaged_manifest_or_checkpoint_of_the_bucket() {
    let desk = founded(&["--set=rounds.min_peers=1"]);
    finish([coordinator(&desk, &[]), peer(&desk, "peer-1", &[])]);
    let manifest = "bucket/rounds/0000000002/manifest";
    desk.flip(manifest, 250);
    assert_snapshot!(desk.covey(&joining("bucket", "peer-2", &[])).complaint(FAILURE), @"");
    assert_snapshot!(desk.covey(&["status", "bucket"]).complaint(FAILURE), @"");
    assert_snapshot!(desk.covey(&coordinating("bucket", &[])).complaint(FAILURE), @"");
    desk.flip(manifest, 250);

    let checkpoints = files_below(&desk.path("bucket/checkpoints"));
    let newest = checkpoints.keys().rfind(|path| path.to_string_lossy().contains("/parts/")).unwrap();
    let part = format!("bucket/checkpoints/{}", newest.display());
    desk.flip(&part, 9000);
    assert_snapshot!(desk.covey(&joining("bucket", "peer-2", &[])).complaint(FAILURE), @"");
    desk.flip(&part, 9000);

    let description = "bucket/run/description";
    desk.flip(description, 30);
    assert_snapshot!(desk.covey(&joining("bucket", "peer-2", &[])).complaint(FAILURE), @"");
    assert_eq!(num_rounds(&desk.path("peer-2")), 0);
}

#[test]
fn an_own_checkpoint_that_is_damaged_is_passed_over() {
    let desk = founded(&["--set=rounds.min_peers=1"]);
    finish([coordinator(&desk, &[]), peer(&desk, "peer-1", &[])]);
    let metrics = desk.read("peer-1/metrics.jsonl");
    let newest = "peer-1/checkpoints/step-00000012";
    desk.flip(&format!("{newest}/model.safetensors"), 9000);
    assert_snapshot!(desk.covey(&joining("bucket", "peer-1", &[])).complaint(0), @"");
    assert!(desk.read("peer-1/metrics.jsonl").len() >= metrics.len());
    for step in files_below(&desk.path("peer-1/checkpoints")).keys().filter(|path| path.ends_with("model.safetensors"))
    {
        desk.flip(&format!("peer-1/checkpoints/{}", step.display()), 9000);
    }
    assert_snapshot!(desk.covey(&joining("bucket", "peer-1", &[])).complaint(FAILURE), @"");
}
