//! A validator's loop: it closes rounds together with the others, follows them like everybody else, and keeps checkpoints.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use covey_comms::gauntlet::conduct::{PeerTable, Penalty};
use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::history::LightClient;
use covey_comms::ledger::{CheckpointDigest, Scores};
use covey_comms::objects::{Exclusion, Manifest, OuterSettings};
use covey_comms::participants::validator::{Closed, Validator};
use covey_comms::primitives::{Digest, Keypair, PeerId};
use covey_comms::run::Run;
use covey_data::dataset::Dataset;
use covey_optim::sparseloco::{Clip, MeanOver, SparseLocoConfig};

use super::evaluator::DeltaEvaluator;
use crate::config::schema::Config;
use crate::run::create::assignment;
use crate::run::replica::{Replica, check_weights};
use crate::run::spec::RunSpec;
use crate::run::sync::SyncedState;
use crate::run::weight_files::to_parts;
use crate::training::learner::Learner;

/// What a validator is made of.
#[derive(Debug)]
pub struct ValidatorSetup {
    /// The run, opened.
    pub run: Run,
    /// What its peers have agreed on.
    pub spec: RunSpec,
    /// The same with what this machine chooses for itself.
    pub config: Config,
    /// Which of the run's validators this is.
    pub identity: Keypair,
    /// The run's data sets, in its order.
    pub datasets: Vec<Dataset>,
}

/// Closes the rounds of one run in the name of one validator.
#[derive(Debug)]
pub struct Validation {
    validator: Validator,
    identity: Keypair,
    evaluation: DeltaEvaluator,
    spec: RunSpec,
    poll: Duration,
}

/// A round that was closed.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedRound {
    /// Its number.
    pub round: u32,
    /// Whose verdict it is.
    pub proposer: PeerId,
    /// Rounds so far that moved the weights, this one included.
    pub outer_steps: u64,
    /// Rounds that move the weights over the whole run.
    pub total: u64,
    /// Deltas that entered the model.
    pub included: usize,
    /// Deltas that were measured.
    pub measured: usize,
    /// What the ledger is to be told of the verdict.
    pub scores: Scores,
    /// The same of the weights after it, if they are kept.
    pub checkpoint: Option<CheckpointDigest>,
    /// Who was left out, and why.
    pub excluded: Vec<(PeerId, Exclusion)>,
    /// Who was punished, and what for.
    pub penalties: Vec<Penalty>,
    /// Bytes of the deltas that entered.
    pub bytes: u64,
    /// Digest of the weights after it.
    pub weights: String,
}

impl Validation {
    /// A validator of a run, wherever it stopped before.
    ///
    /// # Errors
    /// An identity that is none of the run's validators, a history or a bucket that fails, weights that are not those that
    /// were agreed on.
    pub async fn open(setup: ValidatorSetup) -> anyhow::Result<Self> {
        let ValidatorSetup { run, spec, config, identity, datasets } = setup;
        let SyncedState { mut light_client, mut replica } = SyncedState::enter(&run, &spec).await?;
        let mut is_behind = false;
        while let Some(manifest) = light_client.poll().await? {
            let deltas = replica.decode(&light_client.gather(&manifest).await?)?;
            replica.apply(&manifest, &deltas)?;
            check_weights(&manifest, replica.digest())?;
            // Whoever closed the round may have been killed before it could keep these weights.
            if is_due(&light_client, &spec) {
                keep_checkpoint(&light_client, &identity, &replica).await?;
                is_behind = true;
            }
        }
        let reader = Learner::open(&spec.model, &config, |_, range| Ok(vec![0.0; range.len()]))?;
        let validator = Validator::open(light_client, identity.clone()).await?;
        if is_behind {
            validator.retire().await?;
        }
        let evaluation = DeltaEvaluator::new(replica, reader, assignment(&config, &datasets)?);
        let poll = Duration::from_secs_f64(config.comms.poll);
        Ok(Self { validator, identity, evaluation, spec, poll })
    }

    /// The same, giving seats only to those whom `registry` knows.
    #[must_use]
    pub fn with_registry(self, registry: Arc<dyn Fn(PeerId) -> bool + Send + Sync>) -> Self {
        Self { validator: self.validator.with_registry(registry), ..self }
    }

    /// The deltas under examination, and the weights as they are after the last round.
    pub fn evaluation(&self) -> &DeltaEvaluator {
        &self.evaluation
    }

    /// Standings of everybody after the last round.
    pub fn peer_table(&self) -> &PeerTable {
        self.validator.peer_table()
    }

    /// Whether the run has made all its steps.
    pub fn is_over(&self) -> bool {
        self.validator.light_client().outer_steps() >= self.spec.outer_steps()
    }

    /// Closes the next round, once it may be closed; nothing if `interrupt` was raised before.
    ///
    /// # Errors
    /// A bucket that fails, or weights that are not those that the validators agreed on. A later start decides the same.
    pub async fn close_round(
        &mut self,
        interrupt: &AtomicBool,
    ) -> anyhow::Result<Option<ClosedRound>> {
        let outer =
            settings(&self.spec.config.sparseloco(), self.validator.light_client().outer_steps());
        let closed =
            self.validator.close_round(outer, self.poll, &mut self.evaluation, interrupt).await?;
        let Some(closed) = closed else { return Ok(None) };
        let weights = self.evaluation.apply(&closed.manifest, &closed.deltas)?;
        check_weights(&closed.manifest, weights)?;
        let light_client = self.validator.light_client();
        let is_kept = is_due(light_client, &self.spec);
        if is_kept {
            keep_checkpoint(light_client, &self.identity, self.evaluation.replica()).await?;
            self.validator.retire().await?;
        }
        Ok(Some(self.report(&closed, is_kept)))
    }

    fn report(&self, closed: &Closed, is_kept: bool) -> ClosedRound {
        let (manifest, verdict) = (&closed.manifest, &closed.verdict);
        let light_client = self.validator.light_client();
        let (next, lineage, weights) =
            (light_client.next(), light_client.head(), manifest.basis().weights);
        ClosedRound {
            round: manifest.round().0,
            proposer: manifest.basis().proposer,
            outer_steps: light_client.outer_steps(),
            total: self.spec.outer_steps(),
            included: manifest.included().len(),
            measured: verdict.inputs.measurements.len(),
            scores: scores(manifest, verdict),
            checkpoint: is_kept.then_some(CheckpointDigest { round: next, lineage, weights }),
            excluded: manifest.excluded().iter().map(|(peer, reason)| (*peer, *reason)).collect(),
            penalties: verdict.outcome.penalties.clone(),
            bytes: manifest.included().values().map(|delta_ref| delta_ref.length).sum(),
            weights: manifest.basis().weights.to_string(),
        }
    }
}

/// A verdict by its digest, and by that of what it pays: the JSON of its payouts, as it stands in the verdict.
fn scores(manifest: &Manifest, verdict: &Verdict) -> Scores {
    let payouts = serde_json::to_vec(&verdict.outcome.payouts).expect("shares by names are JSON");
    Scores {
        round: manifest.round(),
        verdict: manifest.basis().verdict,
        payouts: Some(Digest::of(&payouts)),
    }
}

/// Whether the weights that `light_client` stands at are to be kept in the bucket.
fn is_due(light_client: &LightClient, spec: &RunSpec) -> bool {
    let every = light_client.run().description().rules.checkpoint_every;
    light_client.next().0.is_multiple_of(every) || light_client.outer_steps() >= spec.outer_steps()
}

/// Publishes the weights that `light_client` stands at; a checkpoint that is there already stays.
async fn keep_checkpoint(
    light_client: &LightClient,
    validator: &Keypair,
    replica: &Replica,
) -> anyhow::Result<()> {
    let parts = to_parts(&replica.weights().collect::<Vec<_>>())?;
    let (round, lineage, steps) =
        (light_client.next(), light_client.head(), light_client.outer_steps());
    light_client
        .run()
        .publish_checkpoint(validator, round, lineage, replica.digest(), steps, parts)
        .await?;
    Ok(())
}

/// The outer settings of the round after `outer_steps` others.
pub(crate) fn settings(config: &SparseLocoConfig, outer_steps: u64) -> OuterSettings {
    OuterSettings {
        alpha: config.outer_learning_rate.rate(outer_steps),
        mean_over: match config.mean_over {
            MeanOver::Senders => covey_comms::objects::MeanOver::Senders,
            MeanOver::Peers => covey_comms::objects::MeanOver::Peers,
        },
        clip: match config.clip {
            Clip::Off => covey_comms::objects::Clip::Off,
            Clip::MedianNorm => covey_comms::objects::Clip::MedianNorm,
        },
    }
}
