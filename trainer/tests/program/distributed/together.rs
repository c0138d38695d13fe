//! Peers that train separately and exchange deltas through a folder have the same bits after every
//! round.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use insta::assert_snapshot;

use crate::distributed::peers::{
    LAST_ROUND, created, creation, digests, finish, joining, num_rounds, peer, rounds,
    sandbox_with_keys, timeless_metrics, validator,
};
use crate::support::fixtures::{Files, files_below};
use crate::support::sandbox::{ProgramOutput, Sandbox};
use crate::support::trained::Running;

/// The records of peer 1 and peer 2 in the run without interruption.
struct Undisturbed {
    digests: Vec<(u64, String)>,
    stories: [Vec<String>; 2],
    files: Files,
}

fn undisturbed() -> &'static Undisturbed {
    static UNDISTURBED: OnceLock<Undisturbed> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let sandbox = created(&[]);
        finish([
            validator(&sandbox, &[]),
            peer(&sandbox, "peer-1", &[]),
            peer(&sandbox, "peer-2", &[]),
        ]);
        let stories = ["peer-1", "peer-2"].map(|name| timeless_metrics(&sandbox.path(name)));
        Undisturbed {
            digests: digests(&sandbox.path("peer-1")),
            stories,
            files: files_below(&sandbox.path("")),
        }
    })
}

/// A sandbox with the complete run.
pub(crate) fn sandbox_of_a_complete_run() -> Sandbox {
    let sandbox = sandbox_with_keys(&[]);
    undisturbed()
        .files
        .iter()
        .filter(|(path, _)| !path.ends_with("peer.key") && !path.ends_with("validator.key"))
        .for_each(|(path, bytes)| sandbox.write(path, bytes));
    sandbox
}

fn assert_same_bits(sandbox: &Sandbox, names: &[&str]) {
    for name in names {
        assert_eq!(digests(&sandbox.path(name)), undisturbed().digests, "{name}");
    }
}

#[test]
fn init_prints_the_run_id_and_the_next_commands() {
    let sandbox = sandbox_with_keys(&["data"]);
    let printed = sandbox.succeed(&creation("bucket", &[]));
    let id = printed.stdout.trim_end().to_owned();
    assert_eq!((id.len(), printed.stdout.len()), (64, 65));
    assert_snapshot!(printed.stderr.replace(&id, "ID"), @r"
    created run ID in bucket; key file of its first validator: validator.key
    next: `covey validate bucket`, and `covey join bucket` on every machine
    ");
    assert_eq!(
        sandbox.succeed(&creation("bucket", &[])).stdout,
        printed.stdout,
        "creating the same run again changes nothing"
    );
}

#[test]
fn peers_hold_the_same_weights_after_every_round() {
    let run = undisturbed();
    let numbers: Vec<_> = run.digests.iter().map(|(round, _)| *round).collect();
    assert_eq!(numbers, (0..=LAST_ROUND).collect::<Vec<_>>());
    let sandbox = sandbox_of_a_complete_run();
    assert_same_bits(&sandbox, &["peer-2"]);
    assert!(
        run.digests.windows(2).skip(1).all(|pair| pair[0].1 != pair[1].1),
        "every round changes the weights"
    );
    for name in ["peer-1", "peer-2"] {
        let folder = sandbox.path(name);
        assert!(
            rounds(&folder)
                .iter()
                .skip(1)
                .all(|line| line["own"] == "included" && line["included"] == 2)
        );
        let losses: Vec<f64> = held_out_losses(&folder);
        assert!(
            losses.len() == 4 && losses.is_sorted_by(|earlier, later| later < earlier),
            "{losses:?}"
        );
    }
    assert_ne!(run.stories[0], run.stories[1], "each peer trains on its assigned windows");
}

fn held_out_losses(folder: &Path) -> Vec<f64> {
    let evaluations =
        crate::support::trained::metrics(folder).into_iter().filter(|line| line["kind"] == "eval");
    evaluations.map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn the_folder_of_every_peer_is_a_model() {
    let sandbox = sandbox_of_a_complete_run();
    let written = |model: &str| {
        sandbox
            .succeed(&[
                "generate",
                model,
                "--prompt=the quick",
                "--max-tokens=8",
                "--greedy",
                "--threads=1",
            ])
            .stdout
    };
    let text = written("peer-1");
    assert!(text.starts_with("the quick"), "{text}");
    for name in ["peer-1", "peer-2"] {
        let output = format!("{name}-hub");
        sandbox.succeed(&["export", name, "--output", &output]);
        assert_eq!((written(name), written(&output)), (text.clone(), text.clone()));
    }
    assert!(files_below(&sandbox.path("peer-1-hub")) == files_below(&sandbox.path("peer-2-hub")));
    assert_eq!(sandbox.succeed(&["eval", "peer-1", "--data=data"]).code, Some(0));
}

#[test]
fn threads_and_micro_batches_change_no_weights() {
    let sandbox = created(&[]);
    let one = peer(&sandbox, "peer-1", &["--set=run.threads=3", "--set=train.micro_batch_size=8"]);
    let two = peer(&sandbox, "peer-2", &["--set=run.threads=2", "--set=train.micro_batch_size=1"]);
    finish([validator(&sandbox, &[]), one, two]);
    assert_eq!(digests(&sandbox.path("peer-1")), digests(&sandbox.path("peer-2")));
    assert_eq!(num_rounds(&sandbox.path("peer-1")), undisturbed().digests.len());
}

/// A relative path is named from the peer's current folder, and found by machines with another one.
#[test]
fn a_separate_bucket_changes_no_bits() {
    let sandbox = created(&[]);
    std::fs::create_dir_all(sandbox.path("peer-2/own")).unwrap();
    let mut command = sandbox.command(&joining("../bucket", ".", &["--own-bucket=own"]));
    command.current_dir(sandbox.path("peer-2"));
    let two = Running::start_named(&sandbox, "peer-2", command);
    finish([validator(&sandbox, &[]), peer(&sandbox, "peer-1", &[]), two]);
    assert_same_bits(&sandbox, &["peer-1", "peer-2"]);
    let [shared, own] = ["bucket", "peer-2/own"].map(|folder| senders(&sandbox.path(folder)));
    assert_eq!((shared.len(), own.len(), shared.intersection(&own).count()), (1, 1, 0));
}

/// The peers with deltas in a bucket.
fn senders(bucket: &Path) -> BTreeSet<OsString> {
    files_below(bucket)
        .keys()
        .filter(|path: &&PathBuf| path.parent().is_some_and(|folder| folder.ends_with("deltas")))
        .map(|path| path.file_name().unwrap().to_owned())
        .collect()
}

#[test]
fn a_killed_peer_resumes_with_the_same_bits() {
    let mut kills = 0;
    for pause in [0, 3, 9, 20] {
        let sandbox = created(&[]);
        let others = [validator(&sandbox, &[]), peer(&sandbox, "peer-1", &[])];
        let mut killed = peer(&sandbox, "peer-2", &[]);
        killed.wait_until(|| num_rounds(&sandbox.path("peer-2")) >= 3);
        sleep(Duration::from_millis(pause));
        kills += usize::from(killed.kill().code.is_none());
        finish([peer(&sandbox, "peer-2", &[])]);
        finish(others);
        assert_same_bits(&sandbox, &["peer-1", "peer-2"]);
        assert_eq!(
            timeless_metrics(&sandbox.path("peer-2")),
            undisturbed().stories[1],
            "killed {pause} ms after round 2"
        );
        assert_eq!(timeless_metrics(&sandbox.path("peer-1")), undisturbed().stories[0]);
    }
    assert!(kills > 0, "every kill came too late");
}

#[test]
fn a_killed_validator_resumes() {
    let sandbox = created(&[]);
    let peers = [peer(&sandbox, "peer-1", &[]), peer(&sandbox, "peer-2", &[])];
    for number in [2, 4] {
        let mut killed = validator(&sandbox, &[]);
        killed.wait_until(|| num_rounds(&sandbox.path("peer-1")) >= number);
        drop(killed.kill());
    }
    finish([validator(&sandbox, &[])]);
    finish(peers);
    assert_same_bits(&sandbox, &["peer-1", "peer-2"]);
}

#[test]
fn a_peer_can_join_late() {
    let sandbox = created(&["--set=rounds.min_peers=1", "--set=train.steps=20"]);
    let mut early = peer(&sandbox, "peer-1", &[]);
    // Without a validator, no round is decided.
    let slow = validator(&sandbox, &["--set=comms.poll_interval=0.3"]);
    // One more than the checkpoint needs: it is written after the decision.
    early.wait_until(|| num_rounds(&sandbox.path("peer-1")) >= 5);
    assert_eq!(slow.kill().code, None);
    let mut late = peer(&sandbox, "peer-2", &[]);
    let beats = format!("bucket/peers/{}/heartbeats", peer_id_of(&sandbox, "peer-2"));
    late.wait_until(|| sandbox.has(&beats));
    finish([validator(&sandbox, &[]), early, late]);

    let (all, some) = (digests(&sandbox.path("peer-1")), digests(&sandbox.path("peer-2")));
    assert!(some.len() < all.len() && all.ends_with(&some), "{some:?} of {all:?}");
    assert!(rounds(&sandbox.path("peer-2")).iter().any(|line| line["own"] == "included"));
    let rates = learning_rates(&sandbox.path("peer-2"));
    assert!(
        rates[..3].is_sorted_by(|earlier, later| earlier < later),
        "rates rise after joining late: {rates:?}"
    );
}

fn learning_rates(folder: &Path) -> Vec<f64> {
    let steps =
        crate::support::trained::metrics(folder).into_iter().filter(|line| line["kind"] == "step");
    steps.map(|line| line["learning_rate"].as_f64().unwrap()).collect()
}

/// The ID of the peer in `folder`, from its output.
fn peer_id_of(sandbox: &Sandbox, folder: &str) -> String {
    let line = format!(" in {folder}");
    let stderr = || String::from_utf8(sandbox.read(&format!("{folder}.stderr"))).unwrap();
    let named = |text: String| {
        text.lines().find_map(|printed| {
            printed.strip_prefix("taking part as ")?.strip_suffix(&line).map(str::to_owned)
        })
    };
    for _ in 0..12_000 {
        if let Some(name) = named(stderr()) {
            return name;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("{folder} never joined: {}", stderr());
}

#[test]
fn a_stopped_peer_leaves_and_can_return() {
    let sandbox = created(&[
        "--set=rounds.min_peers=1",
        "--set=train.steps=20",
        "--set=rounds.max_missed_rounds=1",
        // A peer that returns to a newer checkpoint of the bucket skips rounds.
        "--set=rounds.checkpoint_every=100",
    ]);
    let mut staying = peer(&sandbox, "peer-1", &[]);
    let mut leaving = peer(&sandbox, "peer-2", &[]);
    let slow = validator(&sandbox, &["--set=comms.poll_interval=0.3"]);
    leaving.wait_until(|| num_rounds(&sandbox.path("peer-2")) >= 2);
    leaving.signal("INT");
    let printed = leaving.end();
    assert_snapshot!(output_from_stop(&printed), @r"
    stopping cleanly; press Ctrl-C again to stop at once
    left the run; return with `covey join bucket --output peer-2`
    ");
    let left = num_rounds(&sandbox.path("peer-2"));
    staying.wait_until(|| num_rounds(&sandbox.path("peer-1")) >= left + 2);
    assert_eq!(slow.kill().code, None);
    let mut back = peer(&sandbox, "peer-2", &[]);
    back.wait_until(|| num_rounds(&sandbox.path("peer-2")) == num_rounds(&sandbox.path("peer-1")));
    finish([validator(&sandbox, &[]), staying, back]);

    assert_eq!(digests(&sandbox.path("peer-1")), digests(&sandbox.path("peer-2")));
    let seen = rounds(&sandbox.path("peer-1"));
    assert!(seen.iter().any(|line| line["included"] == 1), "{seen:?}");
    assert_eq!(seen[seen.len() - 1]["included"], 2, "{seen:?}");
}

/// The output from the stop signal on, without the step in progress.
fn output_from_stop(printed: &ProgramOutput) -> String {
    let complaint = printed.complaint(0);
    let start = complaint.find("stopping").unwrap();
    complaint[start..].to_owned()
}

#[test]
fn a_stopped_validator_can_be_started_again() {
    let sandbox = created(&[]);
    let mut waiting = validator(&sandbox, &[]);
    waiting.wait_for_line("closing the rounds of bucket");
    waiting.signal("TERM");
    assert_snapshot!(waiting.end().complaint(0), @r"
    validating as HASH
    closing the rounds of bucket
    stopping cleanly; press Ctrl-C again to stop at once
    stopped; start again at any time
    ");
}

#[test]
fn each_peer_supplies_data_that_is_not_in_the_bucket() {
    let sandbox = created(&["--without-data", "--set=rounds.min_peers=1"]);
    finish([validator(&sandbox, &["--data=data"]), peer(&sandbox, "peer-1", &["--data=data"])]);
    assert!(!sandbox.has("peer-1/data") && !sandbox.has("validator/data"));
    assert_eq!(num_rounds(&sandbox.path("peer-1")) as u64, LAST_ROUND + 1);
    let bytes: usize = files_below(&sandbox.path("bucket/run")).values().map(Vec::len).sum();
    assert!(bytes < 30_000, "{bytes} bytes in the bucket");
}

#[test]
fn data_is_downloaded_once() {
    let sandbox = sandbox_of_a_complete_run();
    assert!(files_below(&sandbox.path("peer-1/data/0")) == files_below(&sandbox.path("data")));
    sandbox.flip("peer-1/data/0/train-00000.safetensors", 5000);
    finish([peer(&sandbox, "peer-1", &[])]);
    assert!(
        files_below(&sandbox.path("peer-1/data/0")) == files_below(&sandbox.path("data")),
        "damaged data is fetched again"
    );
}

#[test]
fn joining_a_complete_run_downloads_its_weights() {
    let sandbox = sandbox_of_a_complete_run();
    let printed = sandbox.succeed(&joining("bucket", "peer-3", &[]));
    assert!(
        printed.stderr.ends_with("the run is over; its weights are in peer-3\n"),
        "{}",
        printed.stderr
    );
    sandbox.succeed(&["export", "peer-3", "--output=hub"]);
    sandbox.succeed(&["export", "peer-1", "--output=other"]);
    assert!(sandbox.read("hub/model.safetensors") == sandbox.read("other/model.safetensors"));
}
