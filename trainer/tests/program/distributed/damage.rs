//! Damaged objects of the bucket, and damaged checkpoints of a peer.

use insta::assert_snapshot;

use crate::distributed::peers::{
    created, digests, finish, joining, num_rounds, peer, validating, validator,
};
use crate::support::fixtures::files_below;
use crate::support::sandbox::{FAILURE, folded};

#[test]
fn a_damaged_manifest_or_checkpoint_in_the_bucket() {
    let sandbox = created(&["--set=rounds.min_peers=1"]);
    finish([validator(&sandbox, &[]), peer(&sandbox, "peer-1", &[])]);
    let manifest = "bucket/rounds/0000000002/manifest";
    sandbox.flip(manifest, 250);
    assert_snapshot!(sandbox.covey(&joining("bucket", "peer-3", &[])).complaint(FAILURE), @r"
    error: the run's history breaks at round 2
      caused by: manifest of round 2 claims lineage HASH, its content gives HASH
    hint: stop training and run `covey verify`: the manifest is invalid
    ");
    assert_snapshot!(sandbox.covey(&["status", "bucket"]).complaint(FAILURE), @r"
    error: the run's history breaks at round 2
      caused by: manifest of round 2 claims lineage HASH, its content gives HASH
    hint: stop training and run `covey verify`: the manifest is invalid
    ");
    assert_snapshot!(sandbox.covey(&validating("bucket", &[])).complaint(FAILURE), @r"
    error: the run's history breaks at round 2
      caused by: manifest of round 2 claims lineage HASH, its content gives HASH
    hint: stop training and run `covey verify`: the manifest is invalid
    ");
    sandbox.flip(manifest, 250);

    // One damaged checkpoint blocks no join: an earlier one leads to the same weights.
    let parts: Vec<String> = files_below(&sandbox.path("bucket/checkpoints"))
        .keys()
        .map(|path| format!("bucket/checkpoints/{}", path.display()))
        .filter(|path| path.contains("/parts/"))
        .collect();
    let (newest, earlier) = parts.split_last().unwrap();
    sandbox.flip(newest, 9000);
    sandbox.covey(&joining("bucket", "peer-2", &[])).complaint(0);
    let [one, two] = ["peer-1", "peer-2"].map(|name| digests(&sandbox.path(name)));
    assert_eq!(one.last(), two.last());

    // Without a valid checkpoint the error names the first problem.
    earlier.iter().for_each(|part| sandbox.flip(part, 9000));
    assert_snapshot!(sandbox.covey(&joining("bucket", "peer-3", &[])).complaint(FAILURE), @r"
    error: part `model.safetensors` of the checkpoint of round 7 has digest HASH, not HASH
    hint: download it again; if the error remains, the object was replaced
    ");
    parts.iter().for_each(|part| sandbox.flip(part, 9000));

    let description = "bucket/run/description";
    sandbox.flip(description, 30);
    assert_snapshot!(sandbox.covey(&joining("bucket", "peer-3", &[])).complaint(FAILURE), @r"
    error: description of the run cannot be read
      caused by: key must be a string at line 4 column 2
    hint: compare the URL of the bucket with the announced one
    ");
    assert_eq!(num_rounds(&sandbox.path("peer-3")), 0);
}

#[test]
fn damaged_checkpoints_of_a_peer_are_skipped_and_kept() {
    let sandbox = created(&["--set=rounds.min_peers=1"]);
    finish([validator(&sandbox, &[]), peer(&sandbox, "peer-1", &[])]);
    let before = digests(&sandbox.path("peer-1"));
    let newest = "peer-1/checkpoints/step-00000012";
    sandbox.flip(&format!("{newest}/model.safetensors"), 9000);
    let damaged = files_below(&sandbox.path(newest));
    let shown = sandbox.covey(&joining("bucket", "peer-1", &[])).complaint(0);
    assert_snapshot!(folded(&shown), @r"
    warning: passed over peer-1/checkpoints/step-00000012: checkpoint
        peer-1/checkpoints/step-00000012 is damaged: model.safetensors does not match its
        digest (BLAKE3 HASH, expected HASH)
    continuing from peer-1/checkpoints/step-00000010
    kept a later checkpoint as peer-1/checkpoints/step-00000012.set-aside-1
    taking part as HASH in peer-1
    continuing from the checkpoint of round 7: a delta of the round is no longer in the
        bucket
    the run is over; its weights are in peer-1
    ");
    let kept = files_below(&sandbox.path(format!("{newest}.set-aside-1")));
    assert!(kept == damaged, "a join changes no file of a checkpoint that it cannot read");
    // The deltas of the round that the peer would have to repeat are no longer in the bucket.
    assert_eq!(digests(&sandbox.path("peer-1")).last(), before.last());
    for step in files_below(&sandbox.path("peer-1/checkpoints"))
        .keys()
        .filter(|path| path.ends_with("model.safetensors"))
    {
        sandbox.flip(&format!("peer-1/checkpoints/{}", step.display()), 9000);
    }
    let shown = sandbox.covey(&joining("bucket", "peer-1", &[])).complaint(0);
    assert_snapshot!(folded(&shown), @r"
    warning: none of the 2 checkpoints in peer-1 is intact; step-00000010 is the newest:
        checkpoint peer-1/checkpoints/step-00000010 is damaged: model.safetensors does not
        match its digest (BLAKE3 HASH, expected HASH); starting from the checkpoint of the
        bucket
    kept a later checkpoint as peer-1/checkpoints/step-00000008.set-aside-1
    kept a later checkpoint as peer-1/checkpoints/step-00000010.set-aside-1
    taking part as HASH in peer-1
    the run is over; its weights are in peer-1
    ");
    sandbox.succeed(&["export", "peer-1", "--output=hub"]);
}
