//! The output of `covey status` as text and as JSON.

use insta::assert_snapshot;
use serde_json::Value;

use crate::distributed::peers::{LAST_ROUND, created, rounds};
use crate::distributed::together::sandbox_of_a_complete_run;

#[test]
fn status_shows_rounds_and_peers() {
    let sandbox = sandbox_of_a_complete_run();
    let text = sandbox.succeed(&["status", "bucket", "--rounds=3"]).stdout;
    let (decisions, scores) = text.split_once("\npeer ").unwrap();
    assert_eq!(scores.lines().count(), 3, "{scores}");
    assert_snapshot!(without_sizes(&masked(decisions)), @r"
    run          run (HASH)
    validators   HASH
    progress     6 of 6 outer steps, next is round 7
    lineage      HASH
    bytes        SIZE kB in deltas
    checkpoints  of rounds 6, 7

    round  deltas  bytes       lineage   verdict   signed  excluded
        4       2  SIZE kB     HASH  HASH       1
        5       2  SIZE kB     HASH  HASH       1
        6       2  SIZE kB     HASH  HASH       1
    ");
    let json = sandbox.succeed(&["status", "bucket", "--json"]).stdout;
    let state: Value = serde_json::from_str(&json).unwrap();
    let lineages: Vec<&Value> =
        state["rounds"].as_array().unwrap().iter().map(|round| &round["lineage"]).collect();
    let seen = rounds(&sandbox.path("peer-1"));
    assert_eq!(lineages, seen.iter().map(|round| &round["lineage"]).collect::<Vec<_>>());
    assert_eq!(state["lineage"], seen[LAST_ROUND as usize]["lineage"]);
    assert_eq!(state["rounds"][1]["included"].as_object().unwrap().len(), 2);
    let begin: String = json
        .lines()
        .take_while(|line| !line.contains("\"rounds\""))
        .map(|line| line.to_owned() + "\n")
        .collect();
    let begin = begin.replace(&state["bytes"].to_string(), "BYTES");
    assert_snapshot!(masked(&begin), @r#"
    {
      "run": "HASH",
      "name": "run",
      "validators": [
        "HASH"
      ],
      "threshold": 1,
      "outer_steps": 6,
      "total_outer_steps": 6,
      "next_round": 7,
      "lineage": "HASH",
      "bytes": BYTES,
      "checkpoints": [
        6,
        7
      ],
    "#);
}

#[test]
fn status_of_a_run_without_peers() {
    assert_snapshot!(masked(&created(&[]).succeed(&["status", "bucket"]).stdout), @r"
    run          run (HASH)
    validators   HASH
    progress     0 of 6 outer steps, next is round 0
    lineage      HASH
    bytes        0 B in deltas
    checkpoints  of rounds 0
    ");
}

/// The sizes of deltas depend slightly on the processor.
fn without_sizes(text: &str) -> String {
    let (before, last) = text.rsplit_once(" kB").unwrap();
    let masked =
        before.split(" kB").map(|part| format!("{}SIZE kB", &part[..part.len() - "1.21".len()]));
    masked.collect::<String>() + last
}

/// The text without digests and peer IDs, long or short.
fn masked(text: &str) -> String {
    let mask = |word: &str| {
        let is_hash =
            [8, 64].contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hash { "HASH".to_owned() } else { word.to_owned() }
    };
    let mut masked = String::new();
    for word in text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric()) {
        let bare = word.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
        masked += &word.replacen(bare, &mask(bare), 1);
    }
    masked
}
