//! A run with others on a desk: how it is founded, its validator and its peers, each a process.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::sandbox::{SMALL, Sandbox};
use crate::support::trained::{Running, metrics, timeless};

/// Twelve steps in rounds of two, begun by two peers. Rounds wait: nobody is left out because the machine is busy.
pub(crate) const FOUNDING: &[&str] = &[
    "--key=validator.key",
    "--set=train.steps=12",
    "--set=rounds.inner_steps=2",
    "--set=rounds.min_peers=2",
    "--set=rounds.max_included=4",
    "--set=rounds.commit_deadline=600",
    "--set=rounds.reveal_deadline=600",
    "--set=rounds.checkpoint_every=3",
    // What so few steps on so little text bring is no more than chance: nobody is left out for it.
    "--set=gauntlet.eval_windows=2",
    "--set=gauntlet.min_gain_ratio=0",
    "--set=gauntlet.norm_ratio=1000",
    "--set=gauntlet.probation=1000",
];

/// The last round of such a run; the first only hands out the seats.
pub(crate) const LAST_ROUND: u64 = 6;

/// A desk with the materials called `names` and the keys of a validator and of four peers, the same every time: who
/// trains on what follows from the peers' names.
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

/// A desk with a run in `bucket` that nobody has joined; `more` has the last word on its founding.
pub(crate) fn created(more: &[&str]) -> Sandbox {
    let sandbox = sandbox_with_keys(&["data"]);
    sandbox.succeed(&creation("bucket", more));
    sandbox
}

/// The arguments that found the run of the small model in `bucket`.
pub(crate) fn creation<'a>(bucket: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["init", bucket, "--data=data"], SMALL, FOUNDING, more].concat()
}

/// The arguments that close the rounds of the run in `bucket`.
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

/// The arguments that take part in the run in `bucket` from the folder of that name.
pub(crate) fn joining<'a>(bucket: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let own = [
        "--set=run.threads=1",
        "--set=train.log_every=1",
        "--set=train.eval_every=4",
        "--set=comms.poll_interval=0.02",
    ];
    [&["join", bucket, "--output", output], own.as_slice(), more].concat()
}

/// The validator of the run in `bucket`, at work.
pub(crate) fn validator(sandbox: &Sandbox, more: &[&str]) -> Running {
    started(sandbox, "validator", &validating("bucket", more))
}

/// A peer of the run in `bucket`, at work; its folder has its name.
pub(crate) fn peer(sandbox: &Sandbox, name: &str, more: &[&str]) -> Running {
    started(sandbox, name, &joining("bucket", name, more))
}

fn started(sandbox: &Sandbox, name: &str, arguments: &[&str]) -> Running {
    let command: Command = sandbox.command(arguments);
    Running::beside_others(sandbox, name, command)
}

/// Waits for the good end of each.
pub(crate) fn finish(processes: impl IntoIterator<Item = Running>) {
    for process in processes {
        let said = process.end();
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    }
}

/// What a peer has written about its rounds.
pub(crate) fn rounds(folder: &Path) -> Vec<Value> {
    metrics(folder).into_iter().filter(|line| line["kind"] == "round").collect()
}

/// The digest of the shared weights after each round.
pub(crate) fn digests(folder: &Path) -> Vec<(u64, String)> {
    rounds(folder).iter().map(|line: &Value| {
        (line["round"].as_u64().unwrap(), line["weights"].as_str().unwrap().to_owned())
    }).collect()
}

/// Everything that a peer has written down but what differs from day to day.
pub(crate) fn story(folder: &Path) -> Vec<String> {
    metrics(folder).into_iter().map(|line| timeless(line).to_string()).collect()
}

/// Rounds that the peer in `folder` has seen decided.
pub(crate) fn num_rounds(folder: &Path) -> usize {
    rounds(folder).len()
}
