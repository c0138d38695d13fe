//! A distributed run in a sandbox: creation, its validator, and its peers, each in a process.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::sandbox::{SMALL, Sandbox};
use crate::support::trained::{Running, metrics, timeless};

/// Twelve steps in rounds of two, with two peers at the start. The deadlines are so long that no
/// peer is late on a busy machine.
pub(crate) const CREATION: &[&str] = &[
    "--key=validator.key",
    "--set=train.steps=12",
    "--set=rounds.inner_steps=2",
    "--set=rounds.min_peers=2",
    "--set=rounds.max_included=4",
    "--set=rounds.commit_deadline=600",
    "--set=rounds.reveal_deadline=600",
    "--set=rounds.checkpoint_every=3",
    // So few steps on so little text change the loss by chance only; no peer is excluded for it.
    "--set=gauntlet.eval_windows=2",
    "--set=gauntlet.min_gain_ratio=0",
    "--set=gauntlet.norm_ratio=1000",
    "--set=gauntlet.probation=1000",
];

/// The last round of such a run; round 0 only assigns slots.
pub(crate) const LAST_ROUND: u64 = 6;

/// A sandbox with the fixtures `names` and fixed keys for a validator and four peers. The assigned
/// windows follow from the peer IDs, so they are the same in every test.
pub(crate) fn sandbox_with_keys(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::with(names);
    write_key(&sandbox, "validator.key", 99);
    for number in 1..=4 {
        write_key(&sandbox, &format!("peer-{number}/peer.key"), number);
    }
    sandbox
}

fn write_key(sandbox: &Sandbox, path: &str, byte: u8) {
    sandbox.write(path, format!("covey-key-1 {}\n", format!("{byte:02x}").repeat(32)));
    fs::set_permissions(sandbox.path(path), Permissions::from_mode(0o600)).unwrap();
}

/// A sandbox with a run in `bucket` and no peers; `more` overrides its settings.
pub(crate) fn created(more: &[&str]) -> Sandbox {
    let sandbox = sandbox_with_keys(&["data"]);
    sandbox.succeed(&creation("bucket", more));
    sandbox
}

/// The arguments that create the run of the small model in `bucket`.
pub(crate) fn creation<'a>(bucket: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["init", bucket, "--data=data"], SMALL, CREATION, more].concat()
}

/// The arguments that validate the run in `bucket`.
pub(crate) fn validating<'a>(bucket: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [
        &[
            "validate",
            bucket,
            "--key=validator.key",
            "--output=validator",
            "--set=comms.poll_interval=0.02",
        ],
        more,
    ]
    .concat()
}

/// The arguments that join the run in `bucket` from folder `output`.
pub(crate) fn joining<'a>(bucket: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = [
        "--set=run.threads=1",
        "--set=train.log_every=1",
        "--set=train.eval_every=4",
        "--set=comms.poll_interval=0.02",
    ];
    [&["join", bucket, "--output", output], own.as_slice(), more].concat()
}

/// Starts the validator of the run in `bucket`.
pub(crate) fn validator(sandbox: &Sandbox, more: &[&str]) -> Running {
    started(sandbox, "validator", &validating("bucket", more))
}

/// Starts a peer of the run in `bucket`, in the folder with its name.
pub(crate) fn peer(sandbox: &Sandbox, name: &str, more: &[&str]) -> Running {
    started(sandbox, name, &joining("bucket", name, more))
}

fn started(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Running {
    let command: Command = sandbox.command(arguments);
    Running::start_named(sandbox, name, command)
}

/// Waits for all processes and requires exit code 0.
pub(crate) fn finish(processes: impl IntoIterator<Item = Running>) {
    for process in processes {
        let printed = process.end();
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    }
}

/// The round entries in the metrics of a peer.
pub(crate) fn rounds(folder: &Path) -> Vec<Value> {
    metrics(folder).into_iter().filter(|line| line["kind"] == "round").collect()
}

/// The digest of the shared weights after each round.
pub(crate) fn digests(folder: &Path) -> Vec<(u64, String)> {
    rounds(folder)
        .iter()
        .map(|line: &Value| {
            (line["round"].as_u64().unwrap(), line["weights"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// All metrics of a peer without values that differ between two runs.
pub(crate) fn timeless_metrics(folder: &Path) -> Vec<String> {
    metrics(folder).into_iter().map(|line| timeless(line).to_string()).collect()
}

/// Number of decided rounds that the peer in `folder` has recorded.
pub(crate) fn num_rounds(folder: &Path) -> usize {
    rounds(folder).len()
}
