//! `covey status`: how a run stands, from its bucket alone.

use std::fmt::Write;

use covey_comms::{Follower, Manifest, Run};
use serde_json::json;

use super::config::own_layers;
use super::{on_runtime, print};
use crate::cli::StatusArgs;
use crate::common_run::connection::Connection;
use crate::common_run::terms::Terms;
use crate::config::Purpose;
use crate::progress::bytes;

pub(super) fn run(arguments: &StatusArgs) -> anyhow::Result<()> {
    let own = own_layers(&arguments.place.own).resolve(Purpose::Show)?.config;
    let connection = Connection::open(&arguments.place.bucket, &own.comms)?;
    let state = on_runtime(async {
        let run = Run::open(connection.bucket.clone(), connection.clock.clone(), arguments.place.run).await?;
        State::read(run).await
    })?;
    let text = match arguments.json {
        true => format!("{}\n", serde_json::to_string_pretty(&state.to_json())?),
        false => state.to_text(arguments.rounds),
    };
    print(&text)
}

/// A run as its manifests tell of it.
struct State {
    run: Run,
    outer_steps: u64,
    total: u64,
    lineage: String,
    rounds: Vec<Manifest>,
    lineages: Vec<String>,
    checkpoints: Vec<u32>,
}

impl State {
    /// Walks and verifies the whole history.
    async fn read(run: Run) -> anyhow::Result<Self> {
        let total = Terms::read(&run).await?.outer_steps();
        let mut follower = Follower::genesis(run.clone());
        let (mut rounds, mut lineages) = (Vec::new(), Vec::new());
        while let Some(manifest) = follower.poll().await? {
            lineages.push(follower.head().to_string());
            rounds.push(manifest);
        }
        let checkpoints = run.checkpoints().await?.into_iter().map(|round| round.0).collect();
        let (outer_steps, lineage) = (follower.outer_steps(), follower.head().to_string());
        Ok(Self { run, outer_steps, total, lineage, rounds, lineages, checkpoints })
    }

    fn bytes(&self) -> u64 {
        self.rounds.iter().map(bytes_of).sum()
    }

    fn to_json(&self) -> serde_json::Value {
        let rounds: Vec<_> =
            self.rounds.iter().zip(&self.lineages).map(|(round, lineage)| as_json(round, lineage)).collect();
        json!({
            "run": self.run.id().to_string(),
            "name": self.run.description().name,
            "coordinator": self.run.description().coordinator.to_string(),
            "outer_steps": self.outer_steps,
            "total_outer_steps": self.total,
            "next_round": self.rounds.len(),
            "lineage": self.lineage,
            "bytes": self.bytes(),
            "checkpoints": self.checkpoints,
            "rounds": rounds,
        })
    }

    fn to_text(&self, most: usize) -> String {
        let description = self.run.description();
        let checkpoints: Vec<_> = self.checkpoints.iter().map(u32::to_string).collect();
        let mut text = format!(
            "run          {} ({})\ncoordinator  {}\nprogress     {} of {} outer steps, next is round {}\n\
             lineage      {}\nbytes        {} in deltas\ncheckpoints  of rounds {}\n",
            description.name,
            self.run.id(),
            description.coordinator,
            self.outer_steps,
            self.total,
            self.rounds.len(),
            self.lineage,
            bytes(self.bytes() as f64),
            checkpoints.join(", "),
        );
        if !self.rounds.is_empty() {
            text += "\nround  deltas  bytes       lineage   left out\n";
        }
        let skipped = self.rounds.len().saturating_sub(most);
        for (manifest, lineage) in self.rounds.iter().zip(&self.lineages).skip(skipped) {
            let out: Vec<_> = manifest.excluded().iter().map(|(peer, why)| format!("{} {why}", peer.short())).collect();
            let row = format!(
                "{:>5}  {:>6}  {:<10}  {}  {}",
                manifest.round().0,
                manifest.included().len(),
                bytes(bytes_of(manifest) as f64),
                lineage.get(..8).unwrap_or_default(),
                out.join(", ")
            );
            writeln!(text, "{}", row.trim_end()).expect("writing to a string cannot fail");
        }
        text
    }
}

fn bytes_of(manifest: &Manifest) -> u64 {
    manifest.included().values().map(|inclusion| inclusion.length).sum()
}

fn as_json(manifest: &Manifest, lineage: &str) -> serde_json::Value {
    let included: serde_json::Map<_, _> =
        manifest.included().iter().map(|(peer, delta)| (peer.to_string(), json!(delta.length))).collect();
    let excluded: serde_json::Map<_, _> =
        manifest.excluded().iter().map(|(peer, reason)| (peer.to_string(), json!(reason.to_string()))).collect();
    json!({
        "round": manifest.round().0,
        "outer_learning_rate": manifest.outer().alpha,
        "included": included,
        "excluded": excluded,
        "lineage": lineage,
    })
}
