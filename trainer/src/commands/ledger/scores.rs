//! What a ledger knows of peers and rounds, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::ledger::Scores;
use covey_comms::ledger::state::{KeyRecord, LedgerState, Membership};
use covey_comms::primitives::{Digest, PeerId};
use serde_json::{Value, json};

/// Tables of peers, of the newest rounds, and of what the newest verdict says of everybody.
pub(super) fn as_text(state: &LedgerState, rounds: usize, newest: Option<&Verdict>) -> String {
    let validator_set = state.validator_set();
    let validators: Vec<_> = validator_set.members.iter().map(PeerId::short).collect();
    let mut text = format!(
        "entries     {}\nmembers     {}\nvalidators  {}; {} must agree\n",
        state.next(),
        state.registered().count(),
        validators.join(", "),
        validator_set.threshold
    );
    if !state.peers().is_empty() {
        text += "\npeer      since  is        bucket\n";
    }
    for (peer, record) in state.peers() {
        let bucket = record.bucket.as_deref().unwrap_or("the run's");
        line(
            &mut text,
            &format!("{}  {:>5}  {:<8}  {bucket}", peer.short(), record.since, synced(record)),
        );
    }
    let said: Vec<_> = state.scores().rounds().collect();
    if !said.is_empty() {
        text += "\nround  verdict   said by\n";
    }
    for (round, by, agreed) in said.iter().skip(said.len().saturating_sub(rounds)) {
        let verdict = agreed.map_or_else(|| "disputed".to_owned(), |scores| short(&scores));
        line(&mut text, &format!("{:>5}  {verdict}  {}", round.0, voices(by)));
    }
    newest.map_or_else(String::new, earned).lines().for_each(|row| line(&mut text, row));
    text
}

/// What everybody has earned by a verdict, the best first.
fn earned(verdict: &Verdict) -> String {
    let digest = Digest::of(&verdict.to_bytes()).to_string();
    let (round, digest) = (verdict.inputs.round.0, digest.get(..8).unwrap_or_default());
    let mut text = format!(
        "\nafter round {round}, verdict {digest}:\npeer        score   share  skill          own windows\n"
    );
    let mut scores: Vec<_> = verdict.outcome.peer_table.iter().collect();
    scores.sort_by(|one, other| other.1.score.total_cmp(&one.1.score).then(one.0.cmp(&other.0)));
    for (peer, synced) in scores {
        let (score, rating, bma) = (synced.score, synced.rating, synced.bma);
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

/// Who said what, in the order of validators.
fn voices(by: &BTreeMap<PeerId, Scores>) -> String {
    let voices: Vec<_> =
        by.iter().map(|(peer, scores)| format!("{} {}", peer.short(), short(scores))).collect();
    voices.join(", ")
}

fn synced(record: &KeyRecord) -> String {
    match record.membership {
        Membership::Active => "member".into(),
        Membership::Left { .. } => "left".into(),
        Membership::Rotated { to, .. } => to.short(),
    }
}

/// Everything.
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
