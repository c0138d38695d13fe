//! `covey status`: the state of a run, read from its bucket alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use covey_comms::agreement::Vote;
use covey_comms::gauntlet::conduct::{PeerRecord, PeerTable, Penalty};
use covey_comms::history::LightClient;
use covey_comms::objects::Manifest;
use covey_comms::primitives::{PeerId, Round};
use covey_comms::run::{CommsError, Run};
use serde_json::json;

use crate::cli::StatusArgs;
use crate::commands::machine::config::{own_layers, resolve};
use crate::config::layers::Purpose;
use crate::run::{Connection, RunSpec};
use crate::system::error::Result;
use crate::system::runtime::on_runtime;
use crate::system::terminal::bytes;
use crate::system::terminal::output::print;

pub(crate) fn run(arguments: &StatusArgs) -> Result<()> {
    let own = resolve(own_layers(&arguments.place.own), Purpose::Show)?.config;
    let connection = Connection::open(&arguments.place.bucket, &own.comms)?;
    let state = on_runtime(async {
        let run =
            Run::open(connection.bucket.clone(), connection.clock.clone(), arguments.place.run)
                .await?;
        RunStatus::read(run, arguments.rounds).await
    })?;
    let text = if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&state.to_json())?)
    } else {
        state.to_text(arguments.rounds)
    };
    print(&text)
}

/// The state of a run according to its manifests.
struct RunStatus {
    run: Run,
    outer_steps: u64,
    total: u64,
    lineage: String,
    rounds: Vec<Decided>,
    checkpoints: Vec<u32>,
    last_outcome: LastOutcome,
}

/// A decided round.
struct Decided {
    manifest: Manifest,
    lineage: String,
    signers: BTreeSet<PeerId>,
    /// Votes against verdicts, with reasons; only for the newest rounds.
    rejections: Vec<RejectedVerdict>,
}

struct RejectedVerdict {
    proposer: PeerId,
    voter: PeerId,
    reason: String,
}

/// The peer records and penalties after the last round.
#[derive(Default)]
struct LastOutcome {
    peer_table: PeerTable,
    penalties: Vec<Penalty>,
}

impl RunStatus {
    /// Reads and verifies the whole history, and the votes of the newest rounds.
    async fn read(run: Run, newest: usize) -> Result<Self> {
        let total = RunSpec::read(&run).await?.outer_steps();
        let mut light_client = LightClient::genesis(run.clone());
        let mut rounds = Vec::new();
        let mut head = light_client.head();
        while let Some(manifest) = light_client.poll().await? {
            let certificate = run.certificate(manifest.round(), Some(head)).await?;
            head = light_client.head();
            let (signers, rejections) =
                (certificate.signatures().keys().copied().collect(), Vec::new());
            rounds.push(Decided { manifest, lineage: head.to_string(), signers, rejections });
        }
        let skipped = rounds.len().saturating_sub(newest);
        // Votes are one object per validator and verdict, so only the shown rounds are read.
        for decided in rounds.iter_mut().skip(skipped) {
            decided.rejections = rejections(&run, &decided.manifest).await?;
        }
        let checkpoints = run.checkpoints().await?.into_iter().map(|round| round.0).collect();
        let last_outcome = last_outcome(&run, light_client.last()).await?;
        let (outer_steps, lineage) = (light_client.outer_steps(), light_client.head().to_string());
        Ok(Self { run, outer_steps, total, lineage, rounds, checkpoints, last_outcome })
    }

    fn bytes(&self) -> u64 {
        self.rounds.iter().map(|decided| bytes_of(&decided.manifest)).sum()
    }

    fn next_round(&self) -> Round {
        Round(self.rounds.len() as u32)
    }

    fn to_json(&self) -> serde_json::Value {
        let validator_set = &self.run.description().validator_set;
        // Scripts read these keys, so they keep their names.
        json!({
            "run": self.run.id().to_string(),
            "name": self.run.description().name,
            "validators": names(validator_set.validators()),
            "threshold": validator_set.threshold(),
            "outer_steps": self.outer_steps,
            "total_outer_steps": self.total,
            "next_round": self.rounds.len(),
            "lineage": self.lineage,
            "bytes": self.bytes(),
            "checkpoints": self.checkpoints,
            "rounds": self.rounds.iter().map(Decided::to_json).collect::<Vec<_>>(),
            "standings": self.last_outcome.peer_table,
            "penalties": self.last_outcome.penalties,
        })
    }

    fn to_text(&self, most: usize) -> String {
        let description = self.run.description();
        let checkpoints: Vec<_> = self.checkpoints.iter().map(u32::to_string).collect();
        let mut text = format!(
            "run          {} ({})\nvalidators   {}\n\
             progress     {} of {} outer steps, next is round {}\n\
             lineage      {}\nbytes        {} in deltas\ncheckpoints  of rounds {}\n",
            description.name,
            self.run.id(),
            self.validators(),
            self.outer_steps,
            self.total,
            self.rounds.len(),
            self.lineage,
            bytes(self.bytes() as f64),
            checkpoints.join(", "),
        );
        // A long run has thousands of rounds; the newest ones are of interest.
        let newest = &self.rounds[self.rounds.len().saturating_sub(most)..];
        if !newest.is_empty() {
            text += "\nround  deltas  bytes       lineage   verdict   signed  excluded\n";
        }
        newest.iter().for_each(|decided| text += &decided.row());
        text += &self.disagreements(newest);
        text + &self.scores()
    }

    fn validators(&self) -> String {
        let validator_set = &self.run.description().validator_set;
        let names: Vec<_> = validator_set.validators().iter().map(PeerId::short).collect();
        match names.as_slice() {
            [only] => only.clone(),
            _ => format!(
                "{} of {} must agree: {}",
                validator_set.threshold(),
                names.len(),
                names.join(", ")
            ),
        }
    }

    /// Lists votes against verdicts, and validators without a signature in the shown rounds.
    fn disagreements(&self, newest: &[Decided]) -> String {
        let mut lines = Vec::new();
        for decided in newest {
            let round = decided.manifest.round();
            lines.extend(decided.rejections.iter().map(|rejection: &RejectedVerdict| {
                let (voter, proposer) = (rejection.voter.short(), rejection.proposer.short());
                format!(
                    "{round}: {voter} rejects the verdict of {proposer}: {}\n",
                    rejection.reason
                )
            }));
        }
        for validator in self.run.description().validator_set.validators() {
            // Before the first round, no validator can have signed.
            if !newest.is_empty()
                && !newest.iter().any(|decided: &Decided| {
                    decided.signers.contains(validator)
                        || decided.rejections.iter().any(|rejection| rejection.voter == *validator)
                })
            {
                lines
                    .push(format!("validator {} signed none of these rounds\n", validator.short()));
            }
        }
        if lines.is_empty() { String::new() } else { format!("\n{}", lines.concat()) }
    }

    fn scores(&self) -> String {
        let LastOutcome { peer_table, penalties } = &self.last_outcome;
        if peer_table.is_empty() {
            return String::new();
        }
        let mut text =
            "\npeer      score   skill          own windows  measured  notes\n".to_owned();
        for (peer, record) in peer_table.iter() {
            let mut notes: Vec<String> = penalties
                .iter()
                .filter(|penalty| penalty.peer == peer)
                .map(|penalty| format!("{} in the last round", offence(penalty)))
                .collect();
            if record.is_banned(self.next_round()) {
                let until =
                    record.banned_until.map_or_else(String::new, |round| format!(" until {round}"));
                notes.push(format!("banned{until}"));
            }
            let row = score_row(peer, record, &notes.join(", "));
            writeln!(text, "{}", row.trim_end()).expect("writing to a string cannot fail");
        }
        text
    }
}

fn score_row(peer: PeerId, record: &PeerRecord, notes: &str) -> String {
    let PeerRecord { score, rating, bma, evaluations, .. } = record;
    format!(
        "{}  {score:>6.3}  {:>6.2} +- {:<4.2}  {bma:>+11.3}  {evaluations:>8}  {notes}",
        peer.short(),
        rating.mu,
        rating.sigma,
    )
}

impl Decided {
    fn row(&self) -> String {
        let manifest = &self.manifest;
        let out: Vec<_> = manifest
            .excluded()
            .iter()
            .map(|(peer, why)| format!("{} {why}", peer.short()))
            .collect();
        let row = format!(
            "{:>5}  {:>6}  {:<10}  {}  {}  {:>6}  {}",
            manifest.round().0,
            manifest.included().len(),
            bytes(bytes_of(manifest) as f64),
            self.lineage.get(..8).unwrap_or_default(),
            manifest.basis().proposer.short(),
            self.signers.len(),
            out.join(", ")
        );
        format!("{}\n", row.trim_end())
    }

    fn to_json(&self) -> serde_json::Value {
        let manifest = &self.manifest;
        let included: serde_json::Map<_, _> = manifest
            .included()
            .iter()
            .map(|(peer, delta)| (peer.to_string(), json!(delta.length)))
            .collect();
        let excluded: serde_json::Map<_, _> = manifest
            .excluded()
            .iter()
            .map(|(peer, reason)| (peer.to_string(), json!(reason.to_string())))
            .collect();
        json!({
            "round": manifest.round().0,
            "outer_learning_rate": manifest.outer().alpha,
            "included": included,
            "excluded": excluded,
            "lineage": self.lineage,
            "proposer": manifest.basis().proposer.to_string(),
            "verdict": manifest.basis().verdict.to_string(),
            "weights": manifest.basis().weights.to_string(),
            "signers": names(&self.signers),
            "refusals": self.rejections.iter().map(|rejection: &RejectedVerdict| {
            let (proposer, voter) = (rejection.proposer.to_string(), rejection.voter.to_string());
            json!({ "proposer": proposer, "voter": voter, "reason": rejection.reason })
        }).collect::<Vec<_>>(),
        })
    }
}

async fn rejections(run: &Run, manifest: &Manifest) -> Result<Vec<RejectedVerdict>> {
    let votes: BTreeMap<PeerId, BTreeMap<PeerId, Vote>> =
        run.votes(manifest.round(), manifest.previous()).await?;
    let by_proposer = votes.into_iter().flat_map(|(proposer, votes)| {
        votes.into_iter().filter_map(move |(voter, vote)| match vote {
            Vote::Refuses { reason } => Some(RejectedVerdict { proposer, voter, reason }),
            Vote::Agrees(_) => None,
        })
    });
    Ok(by_proposer.collect())
}

/// Returns the peer records after the last round; none if its verdict is unreadable, which `covey
/// verify` reports.
async fn last_outcome(run: &Run, last: Option<&Manifest>) -> Result<LastOutcome> {
    let Some(last) = last else { return Ok(LastOutcome::default()) };
    match run.verdict_of(last).await {
        Ok(verdict) => Ok(LastOutcome {
            peer_table: verdict.outcome.peer_table,
            penalties: verdict.outcome.penalties,
        }),
        Err(CommsError::Bucket(error)) => Err(error.into()),
        Err(_) => Ok(LastOutcome::default()),
    }
}

/// The serialised name of an offence, in words.
fn offence(penalty: &Penalty) -> String {
    json!(penalty.offence).as_str().unwrap_or("punished").replace('-', " ")
}

fn names(peers: &BTreeSet<PeerId>) -> Vec<String> {
    peers.iter().map(PeerId::to_string).collect()
}

fn bytes_of(manifest: &Manifest) -> u64 {
    manifest.included().values().map(|delta_ref| delta_ref.length).sum()
}
