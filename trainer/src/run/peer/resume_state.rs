//! What a peer keeps on its own disk, so that a kill costs nothing: a checkpoint a round, between training and
//! publication.
//!
//! It holds the shared weights that the round started from, the moments and the error feedback after its inner steps,
//! and the delta that is to be published. Whoever goes on from there publishes the very same bytes, and waits for the
//! same decision.

use covey_comms::history::LightClientState;
use covey_comms::objects::{Lineage, Manifest};
use covey_comms::primitives::{Round, RunId};
use covey_optim::inner::{AdamWState, Moments};
use covey_optim::sparseloco::Delta;
use serde::{Deserialize, Serialize};

use crate::run::replica::Replica;
use crate::run::spec::RunSpec;
use crate::system::error::UsageError;
use crate::training::checkpoint::{
    Checkpoint, ExtraFile, NamedTensor, SavedMoments, SavedTensor, Snapshot, TrainingState,
};

/// File of the delta that awaits its decision.
const DELTA: &str = "delta.bin";
/// File of the last manifest that was applied.
const MANIFEST: &str = "manifest.bin";

/// Where a peer stands, apart from its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerState {
    run: String,
    next: u32,
    head: String,
    outer_steps: u64,
    warmup_from: Option<u64>,
}

/// A peer's own checkpoint, read back.
#[derive(Debug)]
pub struct Resumed {
    /// Where it stood in the run's history.
    pub position: LightClientState,
    /// The shared weights there, in canonical order.
    pub weights: Vec<NamedTensor>,
    /// AdamW's moments.
    pub optimizer: AdamWState,
    /// Tokens that it had learned from.
    pub tokens: u64,
    /// What no other peer knows.
    pub kept: Kept,
}

/// What a peer had for itself when it was stopped.
#[derive(Debug)]
pub struct Kept {
    /// What it had not told others, in canonical order.
    pub error_feedback: Vec<Vec<f32>>,
    /// The delta whose round had not been decided.
    pub delta: Option<Vec<u8>>,
    /// Inner steps that it had made.
    pub steps: u64,
    /// The step from which its learning rate rose after it had joined.
    pub warmup_from: Option<u64>,
}

impl Resumed {
    /// Reads the state of a peer of the run `run` back.
    ///
    /// # Errors
    /// A checkpoint of another run, of a run that was trained alone, or one that is damaged.
    pub fn read(checkpoint: &Checkpoint, run: RunId, spec: &RunSpec) -> anyhow::Result<Self> {
        let state = checkpoint.state();
        let path = checkpoint.path().display();
        let alone = |_| {
            let problem = UsageError::new(format!("{path} is no checkpoint of a run with others"));
            problem.with_hint("choose another folder with `--output`")
        };
        let own: PeerState = serde_json::from_value(state.cursor.clone()).map_err(alone)?;
        if own.run != run.to_string() {
            let problem = UsageError::new(format!(
                "{path} belongs to run {}, the bucket holds {run}",
                own.run
            ));
            return Err(problem.with_hint("choose another folder with `--output`").into());
        }
        let last =
            checkpoint.extra_file(MANIFEST)?.map(|bytes| Manifest::parse(&bytes)).transpose()?;
        let head: Lineage = own.head.parse()?;
        let position =
            LightClientState { next: Round(own.next), head, outer_steps: own.outer_steps, last };
        let (mut weights, mut moments, mut error_feedback) = (Vec::new(), Vec::new(), Vec::new());
        for spec in spec.model.parameters().iter() {
            weights.push(checkpoint.weight(&spec.name)?);
            moments.extend(
                checkpoint
                    .moments(&spec.name)?
                    .map(|own| Moments { first: own.first, second: own.second }),
            );
            error_feedback.extend(checkpoint.error_feedback(&spec.name)?);
        }
        Ok(Self {
            position,
            weights,
            optimizer: AdamWState { steps: state.optimizer_steps, moments },
            tokens: state.tokens,
            kept: Kept {
                error_feedback,
                delta: checkpoint.extra_file(DELTA)?,
                steps: state.step,
                warmup_from: own.warmup_from,
            },
        })
    }
}

/// What a checkpoint is made of, borrowed from the peer.
pub(crate) struct Present<'a> {
    pub(crate) run: RunId,
    pub(crate) position: LightClientState,
    pub(crate) replica: &'a Replica,
    /// Updates made, and AdamW's moments.
    pub(crate) moments: (u64, Vec<SavedMoments>),
    /// In the order of the schema.
    pub(crate) error_feedback: &'a [Vec<f32>],
    pub(crate) delta: Option<&'a Delta>,
    pub(crate) steps: u64,
    pub(crate) tokens: u64,
    pub(crate) warmup_from: Option<u64>,
    pub(crate) elapsed: std::time::Duration,
}

impl Present<'_> {
    /// Copies everything, so that training can go on while it is written.
    pub(crate) fn snapshot(self, spec: &RunSpec, run_config: String) -> anyhow::Result<Snapshot> {
        let own = PeerState {
            run: self.run.to_string(),
            next: self.position.next.0,
            head: self.position.head.to_string(),
            outer_steps: self.position.outer_steps,
            warmup_from: self.warmup_from,
        };
        let mut extra_files = spec.tokenizer_files.clone();
        let last = self.position.last.as_ref().map(Manifest::to_bytes);
        extra_files.extend(last.map(|bytes| ExtraFile { name: MANIFEST.into(), bytes }));
        if let Some(delta) = self.delta {
            extra_files
                .push(ExtraFile { name: DELTA.into(), bytes: self.replica.codec().encode(delta)? });
        }
        let (optimizer_steps, moments) = self.moments;
        Ok(Snapshot {
            state: TrainingState {
                step: self.steps,
                optimizer_steps,
                tokens: self.tokens,
                seed: spec.config.run.seed,
                elapsed: self.elapsed,
                cursor: serde_json::to_value(&own)?,
                schedule: serde_json::Value::Null,
            },
            weights: self.replica.weights().cloned().map(SavedTensor::from).collect(),
            moments,
            error_feedback: self.replica.to_canonical(self.error_feedback),
            model_config: spec.model_config.clone(),
            run_config,
            extra_files,
        })
    }
}
