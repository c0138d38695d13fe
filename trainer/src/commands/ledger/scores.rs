//! Peers, rounds and scores of a ledger, as tables and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::ledger::Scores;
use covey_comms::ledger::state::{KeyRecord, LedgerState, Membership};
use covey_comms::primitives::{Digest, PeerId};
use serde_json::{Value, json};

/// Returns tables of the peers, of the newest rounds, and of the peer records in the newest
/// verdict.
pub(super) fn as_text(state: &LedgerState, rounds: usize, newest: Option<&Verdict>) -> String {
    let validator_set = state.validator_set();
    let validators: Vec<_> = validator_set.members.iter().map(PeerId::short).collect();
    let mut text = format!(
        "entries     {}\nregistered  {}\nvalidators  {}; {} must agree\n",
        state.next(),
        state.registered().count(),
        validators.join(", "),
        validator_set.threshold
    );
    write_peers(&mut text, state);
    write_rounds(&mut text, state, rounds);
    newest.map_or_else(String::new, peer_records).lines().for_each(|row| line(&mut text, row));
    text
}

fn write_peers(text: &mut String, state: &LedgerState) {
    if !state.peers().is_empty() {
        *text += "\npeer      since  status      bucket\n";
    }
    for (peer, record) in state.peers() {
        let bucket = record.bucket.as_deref().unwrap_or("of the run");
        let (peer, since, status) = (peer.short(), record.since, status(record));
        line(text, &format!("{peer}  {since:>5}  {status:<10}  {bucket}"));
    }
}

fn write_rounds(text: &mut String, state: &LedgerState, rounds: usize) {
    let posted: Vec<_> = state.scores().rounds().collect();
    if !posted.is_empty() {
        *text += "\nround  verdict   posted by\n";
    }
    for (round, by, agreed) in posted.iter().skip(posted.len().saturating_sub(rounds)) {
        let verdict = agreed.map_or_else(|| "disputed".to_owned(), |scores| short(&scores));
        line(text, &format!("{:>5}  {verdict}  {}", round.0, posts(by)));
    }
}

/// Returns the peer records of a verdict, sorted by descending score.
fn peer_records(verdict: &Verdict) -> String {
    let digest = Digest::of(&verdict.to_bytes()).to_string();
    let (round, digest) = (verdict.inputs.round.0, digest.get(..8).unwrap_or_default());
    let mut text = format!(
        "\nafter round {round}, verdict {digest}:\n\
         peer        score   share  skill          own windows\n"
    );
    let mut scores: Vec<_> = verdict.outcome.peer_table.iter().collect();
    // Equal scores are sorted by peer, so the output is the same on every machine.
    scores.sort_by(|one, other| other.1.score.total_cmp(&one.1.score).then(one.0.cmp(&other.0)));
    for (peer, record) in scores {
        let (score, rating, bma) = (record.score, record.rating, record.bma);
        let share = 100.0 * verdict.outcome.payouts.get(&peer).copied().unwrap_or(0.0);
        let skill = format!("{:.2} ± {:.2}", rating.mu, rating.sigma);
        line(
            &mut text,
            &format!("{}  {score:>7.3}  {share:>5.2}%  {skill:<13}  {bma:+.3}", peer.short()),
        );
    }
    text
}

fn line(text: &mut String, row: &str) {
    writeln!(text, "{}", row.trim_end()).expect("writing to a string cannot fail");
}

fn short(scores: &Scores) -> String {
    scores.verdict.to_string().chars().take(8).collect()
}

/// Each validator with the digest that it posted, sorted by validator.
fn posts(by: &BTreeMap<PeerId, Scores>) -> String {
    let posts: Vec<_> =
        by.iter().map(|(peer, scores)| format!("{} {}", peer.short(), short(scores))).collect();
    posts.join(", ")
}

fn status(record: &KeyRecord) -> String {
    match record.membership {
        Membership::Active => "registered".into(),
        Membership::Left { .. } => "left".into(),
        Membership::Rotated { to, .. } => to.short(),
    }
}

/// Returns the same data as JSON, for all rounds.
pub(super) fn as_json(state: &LedgerState, newest: Option<&Verdict>) -> Value {
    let peers: serde_json::Map<_, _> =
        state.peers().iter().map(|(peer, record)| (peer.to_string(), one(record))).collect();
    let scores = state
        .scores()
        .rounds()
        .map(|(round, by, agreed)| json!({ "round": round.0, "agreed": agreed, "by": by }));
    let checkpoints = state
        .checkpoints()
        .rounds()
        .map(|(round, by, agreed)| json!({ "round": round.0, "agreed": agreed, "by": by }));
    json!({
        "entries": state.next(),
        "validators": state.validator_set(),
        "peers": peers,
        "scores": scores.collect::<Vec<_>>(),
        "checkpoints": checkpoints.collect::<Vec<_>>(),
        "standings": newest.map(|verdict| json!({
            "round": verdict.inputs.round.0,
            "verdict": Digest::of(&verdict.to_bytes()),
            "peers": verdict.outcome.peer_table,
            "payouts": verdict.outcome.payouts,
        })),
    })
}

fn one(record: &KeyRecord) -> Value {
    let (left, rotated_to) = match record.membership {
        Membership::Active => (None, None),
        Membership::Left { at } => (Some(at), None),
        Membership::Rotated { to, .. } => (None, Some(to)),
    };
    json!({
        "member": record.membership == Membership::Active,
        "since": record.since,
        "bucket": record.bucket,
        "formerly": record.rotated_from,
        "left": left,
        "rotated_to": rotated_to,
    })
}
