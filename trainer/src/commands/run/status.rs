//! `covey status`: how a run stands, from its bucket alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use covey_comms::agreement::Vote;
use covey_comms::gauntlet::conduct::{PeerTable, Penalty};
use covey_comms::history::LightClient;
use covey_comms::objects::Manifest;
use covey_comms::primitives::{PeerId, Round};
use covey_comms::run::{CommsError, Run};
use serde_json::json;

use crate::cli::StatusArgs;
use crate::commands::dispatch::{on_runtime, print};
use crate::commands::machine::config::own_layers;
use crate::config::layers::Purpose;
use crate::run::{Connection, RunSpec};
use crate::system::terminal::bytes;

pub(crate) fn run(arguments: &StatusArgs) -> anyhow::Result<()> {
    let own = own_layers(&arguments.place.own).resolve(Purpose::Show)?.config;
    let connection = Connection::open(&arguments.place.bucket, &own.comms)?;
    let state = on_runtime(async {
        let run = Run::open(connection.bucket.clone(), connection.clock.clone(), arguments.place.run).await?;
        RunStatus::read(run, arguments.rounds).await
    })?;
    let text = match arguments.json {
        true => format!("{}\n", serde_json::to_string_pretty(&state.to_json())?),
        false => state.to_text(arguments.rounds),
    };
    print(&text)
}

/// A run as its manifests tell of it.
struct RunStatus {
    run: Run,
    outer_steps: u64,
    total: u64,
    lineage: String,
    rounds: Vec<Decided>,
    checkpoints: Vec<u32>,
    judgement: Judgement,
}

/// A round that is over.
struct Decided {
    manifest: Manifest,
    lineage: String,
    signers: BTreeSet<PeerId>,
    /// Who refused whose verdict, and why; of the newest rounds only.
    refusals: Vec<RefusedDelta>,
}

struct RefusedDelta {
    proposer: PeerId,
    voter: PeerId,
    reason: String,
}

/// What validators think of peers by now.
#[derive(Default)]
struct Judgement {
    book: PeerTable,
    penalties: Vec<Penalty>,
}

impl RunStatus {
    /// Walks and verifies the whole history; looks at the votes of the newest rounds.
    async fn read(run: Run, newest: usize) -> anyhow::Result<Self> {
        let total = RunSpec::read(&run).await?.outer_steps();
        let mut follower = LightClient::genesis(run.clone());
        let mut rounds = Vec::new();
        let mut head = follower.head();
        while let Some(manifest) = follower.poll().await? {
            let certificate = run.certificate(manifest.round(), Some(head)).await?;
            head = follower.head();
            let (signers, refusals) = (certificate.signatures().keys().copied().collect(), Vec::new());
            rounds.push(Decided { manifest, lineage: head.to_string(), signers, refusals });
        }
        let skipped = rounds.len().saturating_sub(newest);
        for decided in rounds.iter_mut().skip(skipped) {
            decided.refusals = refusals(&run, &decided.manifest).await?;
        }
        let checkpoints = run.checkpoints().await?.into_iter().map(|round| round.0).collect();
        let judgement = judgement(&run, follower.last()).await?;
        let (outer_steps, lineage) = (follower.outer_steps(), follower.head().to_string());
        Ok(Self { run, outer_steps, total, lineage, rounds, checkpoints, judgement })
    }

    fn bytes(&self) -> u64 {
        self.rounds.iter().map(|decided| bytes_of(&decided.manifest)).sum()
    }

    fn next_round(&self) -> Round {
        Round(self.rounds.len() as u32)
    }

    fn to_json(&self) -> serde_json::Value {
        let quorum = &self.run.description().quorum;
        json!({
            "run": self.run.id().to_string(),
            "name": self.run.description().name,
            "validators": quorum.validators().iter().map(PeerId::to_string).collect::<Vec<_>>(),
            "threshold": quorum.threshold(),
            "outer_steps": self.outer_steps,
            "total_outer_steps": self.total,
            "next_round": self.rounds.len(),
            "lineage": self.lineage,
            "bytes": self.bytes(),
            "checkpoints": self.checkpoints,
            "rounds": self.rounds.iter().map(Decided::to_json).collect::<Vec<_>>(),
            "standings": self.judgement.book,
            "penalties": self.judgement.penalties,
        })
    }

    fn to_text(&self, most: usize) -> String {
        let description = self.run.description();
        let checkpoints: Vec<_> = self.checkpoints.iter().map(u32::to_string).collect();
        let mut text = format!(
            "run          {} ({})\nvalidators   {}\nprogress     {} of {} outer steps, next is round {}\n\
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
        let newest = &self.rounds[self.rounds.len().saturating_sub(most)..];
        if !newest.is_empty() {
            text += "\nround  deltas  bytes       lineage   verdict   signed  left out\n";
        }
        newest.iter().for_each(|decided| text += &decided.row());
        text += &self.disagreements(newest);
        text + &self.standings()
    }

    fn validators(&self) -> String {
        let quorum = &self.run.description().quorum;
        let names: Vec<_> = quorum.validators().iter().map(PeerId::short).collect();
        match names.as_slice() {
            [only] => only.clone(),
            _ => format!("{} of {} must agree: {}", quorum.threshold(), names.len(), names.join(", ")),
        }
    }

    /// Who refused whose verdict, and who has not been heard of at all.
    fn disagreements(&self, newest: &[Decided]) -> String {
        let mut lines = Vec::new();
        for decided in newest {
            let round = decided.manifest.round();
            let line = |refusal: &RefusedDelta| {
                let (voter, proposer) = (refusal.voter.short(), refusal.proposer.short());
                format!("{round}: {voter} refuses the verdict of {proposer}: {}\n", refusal.reason)
            };
            lines.extend(decided.refusals.iter().map(line));
        }
        for validator in self.run.description().quorum.validators() {
            let has_spoken = |decided: &Decided| {
                decided.signers.contains(validator)
                    || decided.refusals.iter().any(|refusal| refusal.voter == *validator)
            };
            if !newest.is_empty() && !newest.iter().any(has_spoken) {
                lines.push(format!("validator {} signed none of these rounds\n", validator.short()));
            }
        }
        if lines.is_empty() { String::new() } else { format!("\n{}", lines.concat()) }
    }

    fn standings(&self) -> String {
        let Judgement { book, penalties } = &self.judgement;
        if book.is_empty() {
            return String::new();
        }
        let mut text = "\npeer      score   skill          own windows  measured  notes\n".to_owned();
        for (peer, standing) in book.iter() {
            let mut notes: Vec<String> = penalties
                .iter()
                .filter(|penalty| penalty.peer == peer)
                .map(|penalty| format!("{} in the last round", offence(penalty)))
                .collect();
            if standing.is_banned(self.next_round()) {
                let until = standing.banned_until.map_or_else(String::new, |round| format!(" until {round}"));
                notes.push(format!("banned{until}"));
            }
            let rating = &standing.rating;
            let row = format!(
                "{}  {:>6.3}  {:>6.2} +- {:<4.2}  {:>+11.3}  {:>8}  {}",
                peer.short(),
                standing.score,
                rating.mu,
                rating.sigma,
                standing.bma,
                standing.evaluations,
                notes.join(", ")
            );
            writeln!(text, "{}", row.trim_end()).expect("writing to a string cannot fail");
        }
        text
    }
}

impl Decided {
    fn row(&self) -> String {
        let manifest = &self.manifest;
        let out: Vec<_> = manifest.excluded().iter().map(|(peer, why)| format!("{} {why}", peer.short())).collect();
        let row = format!(
            "{:>5}  {:>6}  {:<10}  {}  {}  {:>6}  {}",
            manifest.round().0,
            manifest.included().len(),
            bytes(bytes_of(manifest) as f64),
            self.lineage.get(..8).unwrap_or_default(),
            manifest.grounds().proposer.short(),
            self.signers.len(),
            out.join(", ")
        );
        format!("{}\n", row.trim_end())
    }

    fn to_json(&self) -> serde_json::Value {
        let manifest = &self.manifest;
        let included: serde_json::Map<_, _> =
            manifest.included().iter().map(|(peer, delta)| (peer.to_string(), json!(delta.length))).collect();
        let excluded: serde_json::Map<_, _> =
            manifest.excluded().iter().map(|(peer, reason)| (peer.to_string(), json!(reason.to_string()))).collect();
        let refusal = |refusal: &RefusedDelta| {
            let (proposer, voter) = (refusal.proposer.to_string(), refusal.voter.to_string());
            json!({ "proposer": proposer, "voter": voter, "reason": refusal.reason })
        };
        json!({
            "round": manifest.round().0,
            "outer_learning_rate": manifest.outer().alpha,
            "included": included,
            "excluded": excluded,
            "lineage": self.lineage,
            "proposer": manifest.grounds().proposer.to_string(),
            "verdict": manifest.grounds().verdict.to_string(),
            "weights": manifest.grounds().weights.to_string(),
            "signers": self.signers.iter().map(PeerId::to_string).collect::<Vec<_>>(),
            "refusals": self.refusals.iter().map(refusal).collect::<Vec<_>>(),
        })
    }
}

async fn refusals(run: &Run, manifest: &Manifest) -> anyhow::Result<Vec<RefusedDelta>> {
    let votes: BTreeMap<PeerId, BTreeMap<PeerId, Vote>> = run.votes(manifest.round(), manifest.previous()).await?;
    let by_proposer = votes.into_iter().flat_map(|(proposer, votes)| {
        votes.into_iter().filter_map(move |(voter, vote)| match vote {
            Vote::Refuses { reason } => Some(RefusedDelta { proposer, voter, reason }),
            Vote::Agrees(_) => None,
        })
    });
    Ok(by_proposer.collect())
}

/// Standings after the last round; none if its verdict cannot be read, which is for `covey verify` to tell.
async fn judgement(run: &Run, last: Option<&Manifest>) -> anyhow::Result<Judgement> {
    let Some(last) = last else { return Ok(Judgement::default()) };
    match run.verdict_of(last).await {
        Ok(verdict) => Ok(Judgement { book: verdict.outcome.book, penalties: verdict.outcome.penalties }),
        Err(CommsError::Bucket(error)) => Err(error.into()),
        Err(_) => Ok(Judgement::default()),
    }
}

/// The name of an offence as documents have it, in words.
fn offence(penalty: &Penalty) -> String {
    json!(penalty.offence).as_str().unwrap_or("punished").replace('-', " ")
}

fn bytes_of(manifest: &Manifest) -> u64 {
    manifest.included().values().map(|inclusion| inclusion.length).sum()
}
