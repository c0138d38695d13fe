//! The loop of a validator: it closes rounds together with the other validators, applies them, and
//! publishes checkpoints.

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
use crate::system::error::Result;
use crate::training::learner::Learner;

/// The inputs of a validator.
#[derive(Debug)]
pub struct ValidatorSetup {
    /// The run, opened.
    pub run: Run,
    /// The shared settings.
    pub spec: RunSpec,
    /// The shared settings together with those of this machine.
    pub config: Config,
    /// The key pair of this validator.
    pub identity: Keypair,
    /// The datasets in the order of the run.
    pub datasets: Vec<Dataset>,
}

/// Closes the rounds of one run as one validator.
#[derive(Debug)]
pub struct Validation {
    validator: Validator,
    identity: Keypair,
    evaluation: DeltaEvaluator,
    spec: RunSpec,
    poll: Duration,
}

/// A closed round.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedRound {
    /// Its number.
    pub round: u32,
    /// The validator that wrote the verdict.
    pub proposer: PeerId,
    /// Outer steps so far, including this round.
    pub outer_steps: u64,
    /// Outer steps of the whole run.
    pub total: u64,
    /// Number of included deltas.
    pub included: usize,
    /// Number of evaluated deltas.
    pub measured: usize,
    /// The digests of the verdict, for the ledger.
    pub scores: Scores,
    /// The digests of the checkpoint after it, for the ledger, if one is kept.
    pub checkpoint: Option<CheckpointDigest>,
    /// Excluded peers with their reasons.
    pub excluded: Vec<(PeerId, Exclusion)>,
    /// Penalties of this round.
    pub penalties: Vec<Penalty>,
    /// Bytes of the included deltas.
    pub bytes: u64,
    /// Digest of the weights after the round.
    pub weights: String,
}

impl Validation {
    /// Opens a validator of a run, and syncs it from the newest checkpoint.
    ///
    /// # Errors
    /// A key that is not one of the run's validators, errors of history or bucket, or weights that
    /// differ from those in a manifest.
    pub async fn open(setup: ValidatorSetup) -> Result<Self> {
        let ValidatorSetup { run, spec, config, identity, datasets } = setup;
        let SyncedState { mut light_client, mut replica } = SyncedState::enter(&run, &spec).await?;
        let mut is_behind = false;
        while let Some(manifest) = light_client.poll().await? {
            let deltas = replica.decode(&light_client.gather(&manifest).await?)?;
            replica.apply(&manifest, &deltas)?;
            check_weights(&manifest, replica.digest())?;
            // The validator that closed the round may have stopped before it published these
            // weights.
            if is_due(&light_client, &spec) {
                keep_checkpoint(&light_client, &identity, &replica).await?;
                is_behind = true;
            }
        }
        let reader = Learner::open(&spec.model, &config, |_, range| Ok(vec![0.0; range.len()]))?;
        let validator = Validator::open(light_client, identity.clone()).await?;
        // Retention runs after each published checkpoint, which the stopped validator did not
        // reach.
        if is_behind {
            validator.retire().await?;
        }
        let evaluation = DeltaEvaluator::new(replica, reader, assignment(&config, &datasets)?);
        let poll = Duration::from_secs_f64(config.comms.poll_interval);
        Ok(Self { validator, identity, evaluation, spec, poll })
    }

    /// The same validator, which gives slots only to peers for which `registry` is true.
    #[must_use]
    pub fn with_registry(self, registry: Arc<dyn Fn(PeerId) -> bool + Send + Sync>) -> Self {
        Self { validator: self.validator.with_registry(registry), ..self }
    }

    /// The evaluator, with the weights after the last round.
    pub fn evaluation(&self) -> &DeltaEvaluator {
        &self.evaluation
    }

    /// The peer records after the last round.
    pub fn peer_table(&self) -> &PeerTable {
        self.validator.peer_table()
    }

    /// Returns true once the run has made all its outer steps.
    pub fn is_over(&self) -> bool {
        self.validator.light_client().outer_steps() >= self.spec.outer_steps()
    }

    /// Closes the next round as soon as the protocol allows it. `None` if `interrupt` was raised
    /// before.
    ///
    /// # Errors
    /// Errors of the bucket, or weights that differ from those in the manifest. A later start
    /// reaches the same decision.
    pub async fn close_round(&mut self, interrupt: &AtomicBool) -> Result<Option<ClosedRound>> {
        let outer =
            settings(&self.spec.config.sparseloco(), self.validator.light_client().outer_steps());
        let closed =
            self.validator.close_round(outer, self.poll, &mut self.evaluation, interrupt).await?;
        let Some(closed) = closed else { return Ok(None) };
        let weights = self.evaluation.apply(&closed.manifest, &closed.deltas)?;
        // Faulty memory must not enter a checkpoint that other peers download.
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

/// Digest of a verdict, and digest of its payouts: of their JSON, as it is in the verdict.
fn scores(manifest: &Manifest, verdict: &Verdict) -> Scores {
    // A ledger keeps only the digest; any reader can compare a list of payouts with it.
    let payouts = serde_json::to_vec(&verdict.outcome.payouts).expect("shares by names are JSON");
    Scores {
        round: manifest.round(),
        verdict: manifest.basis().verdict,
        payouts: Some(Digest::of(&payouts)),
    }
}

/// Returns true if the weights at the position of `light_client` are kept in the bucket.
fn is_due(light_client: &LightClient, spec: &RunSpec) -> bool {
    let every = light_client.run().description().rules.checkpoint_every;
    // The final weights are always kept, for readers after the end of the run.
    light_client.next().0.is_multiple_of(every) || light_client.outer_steps() >= spec.outer_steps()
}

/// Publishes the weights at the position of `light_client`. An existing checkpoint stays.
async fn keep_checkpoint(
    light_client: &LightClient,
    validator: &Keypair,
    replica: &Replica,
) -> Result<()> {
    let parts = to_parts(&replica.weights().collect::<Vec<_>>())?;
    let (round, lineage, steps) =
        (light_client.next(), light_client.head(), light_client.outer_steps());
    light_client
        .run()
        .publish_checkpoint(validator, round, lineage, replica.digest(), steps, parts)
        .await?;
    Ok(())
}

/// The outer settings of the round after `outer_steps` outer steps.
pub(crate) fn settings(config: &SparseLocoConfig, outer_steps: u64) -> OuterSettings {
    OuterSettings {
        alpha: config.outer_learning_rate.rate(outer_steps),
        mean_over: match config.mean_over {
            MeanOver::Senders => covey_comms::objects::Divisor::Senders,
            MeanOver::Peers => covey_comms::objects::Divisor::Peers,
        },
        clip: match config.clip {
            Clip::Off => covey_comms::objects::Clipping::Off,
            Clip::MedianNorm => covey_comms::objects::Clipping::MedianNorm,
        },
    }
}
