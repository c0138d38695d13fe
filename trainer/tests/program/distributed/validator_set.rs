//! Several validators, each in a process, and readers that verify their decisions.

use insta::assert_snapshot;
use serde_json::Value;

use crate::distributed::peers::{
    LAST_ROUND, creation, digests, finish, peer, sandbox_with_keys, validating,
};
use crate::support::fixtures::files_below;
use crate::support::sandbox::{FAILURE, Sandbox, USAGE, folded};
use crate::support::trained::Running;

/// Creates the keys of two more validators and returns their IDs.
fn others(sandbox: &Sandbox) -> [String; 2] {
    ["second.key", "third.key"]
        .map(|key| sandbox.succeed(&["id", key]).stdout.trim_end().to_owned())
}

#[test]
fn two_of_three_validators_are_enough() {
    let sandbox = sandbox_with_keys(&["data"]);
    let [second, third] = others(&sandbox);
    let more = [
        format!("--validator={second}"),
        format!("--validator={third}"),
        "--set=rounds.judging_timeout=0.2".into(),
    ];
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let printed = sandbox.succeed(&creation("bucket", &more)).stderr;
    assert!(printed.contains("2 of its 3 validators must agree"), "{printed}");
    let validator = |key: &str, output: &str| {
        let (key, output) = (format!("--key={key}"), format!("--output={output}"));
        let arguments = [
            "validate",
            "bucket",
            &key,
            &output,
            "--set=comms.poll_interval=0.02",
            "--set=run.threads=1",
        ];
        Running::start_named(&sandbox, &key, sandbox.command(&arguments))
    };
    let validators = [validator("validator.key", "first"), validator("second.key", "second")];
    finish(
        validators
            .into_iter()
            .chain([peer(&sandbox, "peer-1", &[]), peer(&sandbox, "peer-2", &[])]),
    );
    assert_eq!(digests(&sandbox.path("peer-1")), digests(&sandbox.path("peer-2")));

    let status = sandbox.succeed(&["status", "bucket"]).stdout;
    assert!(status.contains("2 of 3 must agree: "), "{status}");
    let silent = format!("validator {} signed none of these rounds\n", &third[..8]);
    assert!(status.contains(&silent), "{status}");
    let found =
        sandbox.succeed(&["verify", "bucket", "--quick", "--json", "--output=anybody"]).stdout;
    let findings: Vec<Value> =
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(findings.len() as u64, LAST_ROUND + 1);
    assert!(
        findings.iter().all(|finding| finding["signers"].as_array().unwrap().len() == 2),
        "{found}"
    );
}

#[test]
fn any_reader_can_verify_a_run() {
    let sandbox = sandbox_with_keys(&["data"]);
    sandbox.succeed(&creation(
        "bucket",
        &["--set=rounds.min_peers=1", "--set=rounds.keep_checkpoints=9"],
    ));
    let validator =
        Running::start_named(&sandbox, "validator", sandbox.command(&validating("bucket", &[])));
    finish([validator, peer(&sandbox, "peer-1", &[])]);
    let verify = ["verify", "bucket", "--output=anybody", "--threads=2"];
    let printed = sandbox.succeed(&verify);
    assert_eq!(printed.stdout.lines().count() as u64, LAST_ROUND + 1);
    assert!(
        printed
            .stdout
            .lines()
            .all(|line| line.contains(": matches (") && line.contains("weights recomputed")),
        "{printed:?}"
    );
    assert!(
        printed
            .stderr
            .ends_with("7 rounds match; losses and weights of 7 of them were recomputed\n"),
        "{printed:?}"
    );
    let one = sandbox.succeed(&[verify.as_slice(), &["--round=4"]].concat());
    assert!(
        one.stdout.starts_with("round 4: matches (") && one.stdout.lines().count() == 1,
        "{one:?}"
    );
    let shown = sandbox.covey(&[verify.as_slice(), &["--round=9"]].concat()).complaint(USAGE);
    assert_snapshot!(shown, @"error: round 9 has not been decided; the next one is round 7");

    let verdicts = "bucket/rounds/0000000004/verdicts";
    let name = files_below(&sandbox.path(verdicts)).into_keys().next().unwrap();
    sandbox.flip(&format!("{verdicts}/{}", name.display()), 600);
    let printed = sandbox.covey(&verify);
    assert!(
        printed.stdout.lines().any(|line| line.starts_with("round 4: differs at verdict: ")),
        "{printed:?}"
    );
    assert!(
        printed.stdout.lines().any(|line| line.starts_with("round 5: differs at previous: ")),
        "{printed:?}"
    );
    assert_eq!(printed.code, Some(FAILURE));
    assert!(
        printed.stderr.ends_with("error: 2 of 7 rounds differ, the first is round 4\n"),
        "{printed:?}"
    );
}

#[test]
fn a_threshold_without_majority_is_rejected() {
    let sandbox = sandbox_with_keys(&["data"]);
    let [second, third] = others(&sandbox).map(|id| format!("--validator={id}"));
    let complaint =
        sandbox.covey(&creation("bucket", &[&second, &third, "--threshold=1"])).complaint(USAGE);
    assert_snapshot!(complaint, @r"
    error: 1 of 3 validators are not a quorum
    hint: use `--threshold 2`; more than half must agree, and a set has at most 64 validators
    ");
    assert!(!sandbox.has("bucket/run"));
    let complaint = sandbox.covey(&creation("bucket", &["--validator=somebody"])).complaint(USAGE);
    let shown = complaint;
    assert_snapshot!(folded(&shown), @r"
    error: invalid value 'somebody' for '--validator <ID>': must be 64 hexadecimal digits,
        as `covey id` prints them

    For more information, try '--help'.
    ");
}
