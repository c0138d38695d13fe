//! Membership by the ledger, and the contents of the ledger.

use serde_json::Value;

use crate::distributed::peers::{LAST_ROUND, created, digests, finish, peer, validator};
use crate::support::sandbox::{FAILURE, Sandbox, USAGE};

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    serde_json::from_str(&sandbox.succeed(arguments).stdout).unwrap()
}

fn registering<'a>(key: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["peer", "register", "bucket", "--key", key], more].concat()
}

/// The path of an entry in the bucket.
fn object(number: u64) -> String {
    format!("bucket/ledger/{number:020}")
}

#[test]
fn peers_register_rotate_and_leave() {
    let sandbox = created(&[]);
    let first = sandbox.succeed(&registering("peer-1/peer.key", &[]));
    let peer = first.stdout.trim_end().to_owned();
    assert!(first.stderr.contains(&format!("entry 0: registered {peer}")), "{}", first.stderr);
    let again = sandbox.succeed(&registering("peer-1/peer.key", &[]));
    assert!(again.stderr.contains("is registered already"), "{}", again.stderr);
    sandbox.succeed(&registering("peer-1/peer.key", &["--own-bucket=s3://mine/deltas"]));
    let rotated = sandbox.succeed(&[
        "peer",
        "rotate",
        "bucket",
        "--key=peer-1/peer.key",
        "--new-key=next.key",
    ]);
    let next = rotated.stdout.trim_end().to_owned();
    let state = json(&sandbox, &["peer", "scores", "bucket", "--json"]);
    assert_eq!(
        (&state["peers"][&peer]["rotated_to"], &state["peers"][&peer]["member"]),
        (&next.clone().into(), &false.into())
    );
    assert_eq!(state["peers"][&next]["bucket"], "s3://mine/deltas");
    sandbox.succeed(&["peer", "leave", "bucket", "--key=next.key"]);
    let text = sandbox.succeed(&["peer", "scores", "bucket"]).stdout;
    assert!(text.contains("registered  0\n") && text.contains("left"), "{text}");
    let dead = sandbox.covey(&registering("peer-1/peer.key", &[]));
    assert_eq!(dead.code, Some(FAILURE));
    assert!(
        dead.stderr.contains("was replaced by another key\nhint: create a new key"),
        "{}",
        dead.stderr
    );
}

#[test]
fn invalid_ledger_urls_and_secrets_in_urls_are_rejected() {
    let sandbox = created(&[]);
    let secret =
        sandbox.covey(&registering("peer-1/peer.key", &["--own-bucket=s3://name:word@bucket"]));
    assert_eq!(secret.code, Some(FAILURE));
    assert!(
        secret.stderr.contains("pass keys in the environment") && !secret.stderr.contains("word")
    );
    assert!(!sandbox.has(&object(0)));
    for ledger in ["nowhere", "evm:http://127.0.0.1:1/secret"] {
        let printed = sandbox.covey(&["ledger", "verify", "bucket", "--ledger", ledger]);
        assert_eq!(printed.code, Some(USAGE), "{}", printed.stderr);
        assert!(
            printed.stderr.contains("hint: ") || printed.stderr.contains("`contract` is missing"),
            "{}",
            printed.stderr
        );
        assert!(!printed.stderr.contains("secret"), "{}", printed.stderr);
    }
    let missing = sandbox.covey(&["peer", "leave", "bucket", "--key=no.key"]);
    assert_eq!(missing.code, Some(USAGE), "{}", missing.stderr);
}

#[test]
fn verification_names_the_first_invalid_entry_of_a_ledger() {
    let sandbox = created(&[]);
    for number in 1..=3 {
        sandbox.succeed(&registering(&format!("peer-{number}/peer.key"), &[]));
    }
    let whole = json(&sandbox, &["ledger", "verify", "bucket", "--json"]);
    assert_eq!((&whole["entries"], &whole["findings"]), (&3.into(), &Value::Array(Vec::new())));
    let head = whole["head"].as_str().unwrap();
    let last = sandbox.read(&object(2));
    std::fs::remove_file(sandbox.path(object(2))).unwrap();
    let shorter = sandbox.covey(&["ledger", "verify", "bucket", "--seen", head]);
    assert_eq!(shorter.code, Some(FAILURE));
    assert!(shorter.stderr.contains("seen before, is missing"), "{}", shorter.stderr);
    sandbox.write(object(2), last);
    sandbox.succeed(&["ledger", "verify", "bucket", "--seen", head]);
    sandbox.flip(&object(1), 20);
    let damaged = sandbox.covey(&["ledger", "verify", "bucket"]);
    assert_eq!(damaged.code, Some(FAILURE));
    assert!(damaged.stderr.contains("is invalid: entry 1 is invalid"), "{}", damaged.stderr);
}

/// With the ledger in the bucket of the run.
#[test]
fn registered_peers_get_slots_and_every_verdict_is_posted() {
    let sandbox = created(&[]);
    play(&sandbox, "bucket");
}

fn play(sandbox: &Sandbox, ledger: &str) {
    let flag = format!("--ledger={ledger}");
    for number in 1..=2 {
        sandbox.succeed(&registering(&format!("peer-{number}/peer.key"), &[&flag]));
    }
    // Publishes a join request like the others, but is not registered.
    let outsider = peer(sandbox, "peer-3", &[]);
    let ends = [
        validator(sandbox, &[&flag]),
        peer(sandbox, "peer-1", &[&flag]),
        peer(sandbox, "peer-2", &[&flag]),
    ];
    finish(ends);
    finish([outsider]);
    let state = json(sandbox, &["peer", "scores", "bucket", "--json", &flag]);
    let rounds: Vec<_> = state["scores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["round"].as_u64().unwrap())
        .collect();
    assert_eq!(rounds, (0..=LAST_ROUND).collect::<Vec<_>>());
    assert!(
        state["scores"]
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["agreed"]["verdict"].is_string())
    );
    let kept = state["checkpoints"].as_array().unwrap();
    assert!(
        !kept.is_empty() && kept.iter().all(|entry| entry["agreed"]["weights"].is_string()),
        "{kept:?}"
    );
    let earned = &state["standings"];
    assert_eq!(earned["round"].as_u64(), Some(LAST_ROUND));
    assert_eq!(
        earned["verdict"],
        state["scores"].as_array().unwrap().last().unwrap()["agreed"]["verdict"]
    );
    assert!(sandbox.succeed(&["peer", "scores", "bucket", &flag]).stdout.contains("own windows"));
    let status = json(sandbox, &["status", "bucket", "--json"]);
    let included = status["rounds"][1]["included"].as_object().unwrap();
    assert!(
        included.keys().all(|peer| state["peers"][peer]["member"] == true) && included.len() == 2,
        "{included:?}"
    );
    assert_eq!(digests(&sandbox.path("peer-1")), digests(&sandbox.path("peer-2")));
    assert_eq!(
        json(sandbox, &["ledger", "verify", "bucket", "--json", &flag])["findings"],
        Value::Array(Vec::new())
    );
}
