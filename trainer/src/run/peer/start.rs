//! Entering a run: from the bucket, or from the checkpoint of an earlier start.

use std::sync::Arc;
use std::time::Duration;

use covey_comms::history::LightClient;
use covey_comms::participants::PeerClient;
use covey_comms::primitives::Keypair;
use covey_comms::run::Run;
use covey_data::dataset::Dataset;
use covey_model::config::ModelConfig;
use covey_optim::sparseloco::Compressor;

use super::exchange::PendingDelta;
use super::overlap::LearnerState;
use super::recorder::{Recorder, ResumePoint};
use super::resume_state::{Kept, Resumed};
use super::round_loop::RoundLoop;
use super::round_metrics::RoundTimings;
use crate::config::schema::Config;
use crate::eval::HeldOut;
use crate::run::bucket::OwnBucket;
use crate::run::create::assignment;
use crate::run::replica::Replica;
use crate::run::spec::RunSpec;
use crate::run::sync::SyncedState;
use crate::system::error::Result;
use crate::training::checkpoint::Checkpoint;
use crate::training::learner::Learner;

/// The inputs of a peer.
#[derive(Debug)]
pub struct PeerSetup {
    /// The run, opened.
    pub run: Run,
    /// The shared settings.
    pub spec: RunSpec,
    /// The shared settings together with those of this machine.
    pub config: Config,
    /// The key pair of this peer.
    pub identity: Keypair,
    /// A separate bucket for its deltas; `None` for the bucket of the run.
    pub own_bucket: Option<OwnBucket>,
    /// The datasets in the order of the run.
    pub datasets: Vec<Dataset>,
}

impl RoundLoop {
    /// Enters a run from this peer's checkpoint `own`, or from the newest checkpoint of the bucket.
    ///
    /// # Errors
    /// A bucket or history that does not verify, data without windows, or a folder that cannot be
    /// written.
    pub async fn enter(setup: PeerSetup, own: Option<&Checkpoint>) -> Result<Self> {
        let PeerSetup { run, spec, config, identity, own_bucket, datasets } = setup;
        let (resume_point, Entered { synced, learner, kept }) = match own {
            Some(checkpoint) => {
                let resumed = Resumed::read(checkpoint, run.id(), &spec)?;
                let elapsed = checkpoint.state().elapsed;
                (
                    Some(resume_point(&resumed, elapsed)),
                    Entered::resume(resumed, &run, &spec, &config)?,
                )
            }
            None => (None, Entered::sync(&run, &spec, &config).await?),
        };
        let SyncedState { light_client, replica } = synced;
        let shown = light_client.outer_steps() * config.rounds.inner_steps;
        let mut peer = Self {
            recorder: Recorder::open(&config, shown, resume_point.as_ref())?,
            learner: LearnerState::Idle(Box::new(learner)),
            compressor: Compressor::new(Arc::clone(replica.schema()), config.sparseloco().decay),
            assignment: Arc::new(assignment(&config, &datasets)?),
            held_out: held_out(&config, &datasets)?,
            peer_client: peer_client(run, identity, own_bucket.as_ref()),
            own_url: own_bucket.map(|own| own.url),
            // A late joiner starts with zero optimizer moments, so its learning rate warms up
            // again.
            warmup_from: (light_client.outer_steps() > 0).then_some(0),
            pending: None,
            unmeasured: None,
            steps: 0,
            timings: RoundTimings::default(),
            spec,
            config,
            light_client,
            replica,
        };
        match kept {
            Some(kept) => peer.restore(kept)?,
            None => peer.evaluate(shown)?,
        }
        Ok(peer)
    }

    /// Restores the state that this peer had at its last checkpoint.
    fn restore(&mut self, kept: Kept) -> Result<()> {
        if !kept.error_feedback.is_empty() {
            self.compressor.restore(self.replica.to_schema(kept.error_feedback))?;
        }
        let pending =
            kept.delta.map(|payload| self.replica.codec().decode(&payload)).transpose()?;
        self.pending = pending.map(PendingDelta::new);
        self.steps = kept.steps;
        self.warmup_from = kept.warmup_from;
        Ok(())
    }
}

fn resume_point(resumed: &Resumed, elapsed: Duration) -> ResumePoint {
    ResumePoint { steps: resumed.kept.steps, round: resumed.position.next.0, elapsed }
}

/// The position at which a peer enters a run.
struct Entered {
    synced: SyncedState,
    learner: Learner,
    /// State of this peer only, if it took part before.
    kept: Option<Kept>,
}

impl Entered {
    /// Continues from a checkpoint of this peer, without a download of weights.
    fn resume(resumed: Resumed, run: &Run, spec: &RunSpec, config: &Config) -> Result<Self> {
        let Resumed { position, weights, optimizer, tokens, kept } = resumed;
        let light_client = LightClient::resume(run.clone(), position);
        let replica = Replica::new(weights, &config.sparseloco())?;
        let learner = new_learner(&spec.model, config)?.resume(0, tokens, &optimizer)?;
        Ok(Self { synced: SyncedState { light_client, replica }, learner, kept: Some(kept) })
    }

    /// Starts from the newest checkpoint of the bucket.
    async fn sync(run: &Run, spec: &RunSpec, config: &Config) -> Result<Self> {
        // Before the download: a network that does not fit this machine fails here.
        let learner = new_learner(&spec.model, config)?;
        Ok(Self { synced: SyncedState::enter(run, spec).await?, learner, kept: None })
    }
}

fn peer_client(run: Run, identity: Keypair, own_bucket: Option<&OwnBucket>) -> PeerClient {
    let peer_client = PeerClient::new(run, identity);
    match own_bucket {
        Some(own) => peer_client.with_bucket(Arc::clone(&own.bucket)),
        None => peer_client,
    }
}

/// A learner without weights. They are set before the first step.
fn new_learner(model: &ModelConfig, config: &Config) -> Result<Learner> {
    Learner::open(model, config, |_, range| Ok(vec![0.0; range.len()]))
}

fn held_out(config: &Config, datasets: &[Dataset]) -> Result<Option<HeldOut>> {
    let (length, most) = (config.data.sequence_length, config.data.held_out_windows as u64);
    let is_measured = config.train.eval_every.is_some();
    Ok(is_measured
        .then(|| HeldOut::new(datasets, length, most, config.train.micro_batch_size))
        .transpose()?)
}
