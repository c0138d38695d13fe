//! What a ledger knows of peers and rounds, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use covey_comms::PeerId;
use covey_comms::ledger::{Membership, Record, Scores, State};
use serde_json::{Value, json};

/// Tables of peers and of the newest rounds.
pub(super) fn as_text(state: &State, rounds: usize) -> String {
    let council = state.council();
    let validators: Vec<_> = council.members.iter().map(PeerId::short).collect();
    let mut text = format!(
        "entries     {}\nmembers     {}\nvalidators  {}; {} must agree\n",
        state.next(),
        state.members().count(),
        validators.join(", "),
        council.threshold
    );
    if !state.peers().is_empty() {
        text += "\npeer      since  is        bucket\n";
    }
    for (peer, record) in state.peers() {
        let bucket = record.bucket.as_deref().unwrap_or("the run's");
        line(&mut text, &format!("{}  {:>5}  {:<8}  {bucket}", peer.short(), record.since, standing(record)));
    }
    let said: Vec<_> = state.scores().rounds().collect();
    if !said.is_empty() {
        text += "\nround  verdict   said by\n";
    }
    for (round, by, agreed) in said.iter().skip(said.len().saturating_sub(rounds)) {
        let verdict = agreed.map_or_else(|| "disputed".to_owned(), |scores| short(&scores));
        line(&mut text, &format!("{:>5}  {verdict}  {}", round.0, voices(by)));
    }
    text
}

fn line(text: &mut String, row: &str) {
    writeln!(text, "{}", row.trim_end()).expect("writing to a string cannot fail");
}

fn short(scores: &Scores) -> String {
    scores.verdict.to_string().chars().take(8).collect()
}

/// Who said what, in the order of validators.
fn voices(by: &BTreeMap<PeerId, Scores>) -> String {
    let voices: Vec<_> = by.iter().map(|(peer, scores)| format!("{} {}", peer.short(), short(scores))).collect();
    voices.join(", ")
}

fn standing(record: &Record) -> String {
    match record.membership {
        Membership::Active => "member".into(),
        Membership::Left { .. } => "left".into(),
        Membership::Rotated { to, .. } => to.short(),
    }
}

/// Everything.
pub(super) fn as_json(state: &State) -> Value {
    let peers: serde_json::Map<_, _> =
        state.peers().iter().map(|(peer, record)| (peer.to_string(), one(record))).collect();
    let scores =
        state.scores().rounds().map(|(round, by, agreed)| json!({ "round": round.0, "agreed": agreed, "by": by }));
    let checkpoints =
        state.checkpoints().rounds().map(|(round, by, agreed)| json!({ "round": round.0, "agreed": agreed, "by": by }));
    json!({
        "entries": state.next(),
        "validators": state.council(),
        "peers": peers,
        "scores": scores.collect::<Vec<_>>(),
        "checkpoints": checkpoints.collect::<Vec<_>>(),
    })
}

fn one(record: &Record) -> Value {
    let (left, rotated_to) = match record.membership {
        Membership::Active => (None, None),
        Membership::Left { at } => (Some(at), None),
        Membership::Rotated { to, .. } => (None, Some(to)),
    };
    json!({
        "member": record.membership == Membership::Active,
        "since": record.since,
        "bucket": record.bucket,
        "formerly": record.formerly,
        "left": left,
        "rotated_to": rotated_to,
    })
}
