//! A dishonest peer, for tests of the Gauntlet in a real run: `adversary BUCKET KIND FOLDER SEED`.
//!
//! It follows the protocol and publishes valid deltas with wrong contents:
//!
//! - `flip` trains on its windows and publishes the negative pseudo-gradient.
//! - `noise` does not train. It publishes random values with the magnitude of the other deltas.
//! - `foreign` trains on the windows of another slot.
//! - `idle` publishes random values close to 0.
//!
//! `just adversaries-real` starts a run with such peers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use covey::config::layers::{Layers, Purpose};
use covey::config::schema::Config;
use covey::run::{Connection, RunSpec, SyncedState, assignment, identity};
use covey::training::learner::Learner;
use covey_comms::membership::Slot;
use covey_comms::objects::Manifest;
use covey_comms::participants::PeerClient;
use covey_comms::primitives::Clock;
use covey_comms::run::Run;
use covey_data::dataset::Dataset;
use covey_data::sampling::Assignment;
use covey_optim::sparseloco::Compressor;

const POLL: Duration = Duration::from_millis(50);
/// `foreign` trains on the windows of the slot at this distance from its slot.
const FOREIGN_OFFSET: u32 = 11;

/// The contents of the deltas.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Flip,
    Noise,
    Foreign,
    Idle,
}

impl Kind {
    fn named(name: &str) -> anyhow::Result<Self> {
        match name {
            "flip" => Ok(Self::Flip),
            "noise" => Ok(Self::Noise),
            "foreign" => Ok(Self::Foreign),
            "idle" => Ok(Self::Idle),
            _ => anyhow::bail!("unknown kind `{name}`, expected flip, noise, foreign or idle"),
        }
    }
}

struct Adversary {
    kind: Kind,
    spec: RunSpec,
    config: Config,
    client: PeerClient,
    synced: SyncedState,
    learner: Learner,
    assignment: Assignment,
    compressor: Compressor,
    clock: Arc<dyn Clock>,
    /// State of the random numbers, never 0.
    random: u64,
    /// Root mean square of the values in the other deltas.
    magnitude: f32,
}

impl Adversary {
    async fn join(bucket: &str, kind: Kind, folder: PathBuf, seed: u64) -> anyhow::Result<Self> {
        let own = Layers::new().path_flag("adversary", "run.output", &folder).flag(
            "adversary",
            "run.threads",
            1,
        );
        let connection =
            Connection::open(bucket, &own.clone().resolve(Purpose::Show)?.config.comms)?;
        let run = Run::open(connection.bucket.clone(), connection.clock.clone(), None).await?;
        let spec = RunSpec::read(&run).await?;
        let mut config = own.resolve_within(&spec.shared, Purpose::Show)?.config;
        config.data.sources = spec.data(&run, &[], &folder.join("data")).await?;
        let datasets = config.data.sources.iter().map(|source| Dataset::open(&source.path));
        let datasets = datasets.collect::<Result<Vec<_>, _>>()?;
        let synced = SyncedState::enter(&run, &spec).await?;
        let schema = Arc::clone(synced.replica.schema());
        Ok(Self {
            kind,
            client: PeerClient::new(run, identity(&config.comms.key_file)?),
            learner: Learner::open(&spec.model, &config, |_, range| Ok(vec![0.0; range.len()]))?,
            assignment: assignment(&config, &datasets)?,
            compressor: Compressor::new(schema, config.sparseloco().decay),
            clock: connection.clock,
            random: seed,
            magnitude: 1e-3,
            synced,
            spec,
            config,
        })
    }

    /// Takes part in all rounds until the run ends.
    async fn run(&mut self) -> anyhow::Result<()> {
        self.client.join_request().await?;
        while self.synced.light_client.outer_steps() < self.spec.outer_steps() {
            let (round, base) = (self.synced.light_client.next(), self.synced.light_client.head());
            self.client.heartbeat(round, base).await?;
            let Some(slot) = self.synced.light_client.slot(self.client.peer()) else {
                self.await_manifest(None).await?;
                continue;
            };
            let gradient = self.gradient(slot)?;
            let delta = self.learner.compress(&mut self.compressor, &gradient)?;
            let payload = self.synced.replica.codec().encode(&delta)?;
            self.client.commit(round, base, &payload).await?;
            self.await_manifest(Some(payload)).await?;
        }
        Ok(())
    }

    /// Publishes `payload` once commitments are closed, and applies the manifest of the round.
    async fn await_manifest(&mut self, mut payload: Option<Vec<u8>>) -> anyhow::Result<()> {
        let (round, base) = (self.synced.light_client.next(), self.synced.light_client.head());
        loop {
            if let Some(manifest) = self.synced.light_client.poll().await? {
                return self.apply(&manifest).await;
            }
            if payload.is_some() && self.client.may_reveal(round, base).await? {
                let payload = payload.take().unwrap_or_default();
                let _ = self.client.publish(round, base, payload.into()).await?;
            }
            self.clock.sleep_until(self.clock.now() + POLL).await;
        }
    }

    async fn apply(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        let deltas =
            self.synced.replica.decode(&self.synced.light_client.gather(manifest).await?)?;
        self.synced.replica.apply(manifest, &deltas)?;
        if let Some(delta) = deltas.values().next() {
            let squares: f64 = delta.tensors().map(|tensor| tensor.norm().powi(2)).sum();
            self.magnitude = (squares / delta.entries().len() as f64).sqrt() as f32;
        }
        Ok(())
    }

    /// The pseudo-gradient that is published.
    fn gradient(&mut self, slot: Slot) -> anyhow::Result<Vec<Vec<f32>>> {
        let trained = match self.kind {
            Kind::Noise => return Ok(self.noise(self.magnitude)),
            Kind::Idle => return Ok(self.noise(1e-3 * self.magnitude)),
            Kind::Flip => self.train(slot.index)?,
            Kind::Foreign => self.train(slot.index + FOREIGN_OFFSET)?,
        };
        let sign = if self.kind == Kind::Flip { -1.0 } else { 1.0 };
        Ok(trained
            .into_iter()
            .map(|tensor| tensor.into_iter().map(|value| sign * value).collect())
            .collect())
    }

    fn train(&mut self, slot: u32) -> anyhow::Result<Vec<Vec<f32>>> {
        let (learner, replica) = (&mut self.learner, &self.synced.replica);
        learner.set_weights(replica.weights().map(|tensor| tensor.values.as_slice()))?;
        learner.set_step(self.synced.light_client.outer_steps() * self.config.rounds.inner_steps);
        let mut sampler = self.assignment.of(self.synced.light_client.next().0, slot)?;
        for _ in 0..self.config.rounds.inner_steps {
            let mut tokens = Vec::new();
            for _ in 0..self.config.train.batch_size {
                sampler.draw(&mut tokens)?;
            }
            learner.step(&tokens, sampler.length())?;
        }
        Ok(replica.minus(&learner.named_weights()))
    }

    fn noise(&mut self, scale: f32) -> Vec<Vec<f32>> {
        let tensors = self.synced.replica.schema().tensors();
        let random = &mut self.random;
        tensors
            .iter()
            .map(|spec| (0..spec.grid().len()).map(|_| scale * next_random(random)).collect())
            .collect()
    }
}

/// A number from -1 to 1 by xorshift (Marsaglia, 2003); the quality of the numbers does not matter.
fn next_random(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bucket, kind, folder, seed] = arguments.as_slice() else {
        anyhow::bail!("usage: adversary BUCKET KIND FOLDER SEED");
    };
    covey::system::device::use_threads(Some(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let (kind, seed) = (Kind::named(kind)?, seed.parse::<u64>()?.max(1));
    runtime.block_on(async {
        Adversary::join(bucket, kind, PathBuf::from(folder), seed).await?.run().await
    })
}
