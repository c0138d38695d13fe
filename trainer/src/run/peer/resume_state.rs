//! The checkpoint that a peer writes in each round between training and publication, so a kill
//! costs no work.
//!
//! It contains the shared weights at the start of the round, the moments and the error feedback
//! after the inner steps, and the delta to be published. A peer that resumes from it publishes the
//! same bytes and waits for the same decision.

use covey_comms::history::LightClientState;
use covey_comms::objects::{Lineage, Manifest};
use covey_comms::primitives::{Round, RunId};
use covey_optim::inner::{AdamWState, Moments};
use covey_optim::sparseloco::Delta;
use serde::{Deserialize, Serialize};

use crate::run::replica::Replica;
use crate::run::spec::RunSpec;
use crate::system::error::{Result, UsageError};
use crate::training::checkpoint::{
    Checkpoint, ExtraFile, NamedTensor, SavedMoments, SavedTensor, Snapshot, TrainingState,
};

/// File with the pending delta.
const DELTA: &str = "delta.bin";
/// File with the last applied manifest.
const MANIFEST: &str = "manifest.bin";

/// State of a peer without its tensors. The field names are part of the file format.
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
    /// Position in the history of the run.
    pub position: LightClientState,
    /// The shared weights at that position, in canonical order.
    pub weights: Vec<NamedTensor>,
    /// AdamW's moments.
    pub optimizer: AdamWState,
    /// Training tokens so far.
    pub tokens: u64,
    /// State that no other machine has.
    pub kept: Kept,
}

/// State of one peer that cannot be downloaded again.
#[derive(Debug)]
pub struct Kept {
    /// Error feedback in canonical order.
    pub error_feedback: Vec<Vec<f32>>,
    /// The delta of the round that was not decided.
    pub delta: Option<Vec<u8>>,
    /// Inner steps so far.
    pub steps: u64,
    /// Step at which the warmup after a late join started.
    pub warmup_from: Option<u64>,
}

impl Resumed {
    /// Reads the state of a peer of run `run`.
    ///
    /// # Errors
    /// A checkpoint of another run, a checkpoint of `covey train`, or damage.
    pub fn read(checkpoint: &Checkpoint, run: RunId, spec: &RunSpec) -> Result<Self> {
        let state = checkpoint.state();
        let path = checkpoint.path().display();
        // `covey train` stores another cursor in this field.
        let own: PeerState = serde_json::from_value(state.cursor.clone()).map_err(|_| {
            let problem =
                UsageError::new(format!("{path} is not a checkpoint of a distributed run"));
            problem.with_hint("choose another folder with `--output`")
        })?;
        // Moments and error feedback of another run would distort the first deltas.
        if own.run != run.to_string() {
            let problem = UsageError::new(format!(
                "{path} belongs to run {}, but the bucket contains run {run}",
                own.run
            ));
            return Err(problem.with_hint("choose another folder with `--output`").into());
        }
        let last =
            checkpoint.extra_file(MANIFEST)?.map(|bytes| Manifest::parse(&bytes)).transpose()?;
        let head: Lineage = own.head.parse()?;
        let position =
            LightClientState { next: Round(own.next), head, outer_steps: own.outer_steps, last };
        let PeerTensors { weights, moments, error_feedback } = PeerTensors::read(checkpoint, spec)?;
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

/// The tensors of a checkpoint in canonical order.
#[derive(Default)]
struct PeerTensors {
    weights: Vec<NamedTensor>,
    /// Empty before the first step.
    moments: Vec<Moments>,
    /// Empty before the first delta.
    error_feedback: Vec<Vec<f32>>,
}

impl PeerTensors {
    fn read(checkpoint: &Checkpoint, spec: &RunSpec) -> Result<Self> {
        let mut tensors = Self::default();
        for parameter in spec.model.parameters().iter() {
            let name = &parameter.name;
            tensors.weights.push(checkpoint.weight(name)?);
            let moments = checkpoint.moments(name)?;
            let moments = moments.map(|saved| Moments { first: saved.first, second: saved.second });
            tensors.moments.extend(moments);
            tensors.error_feedback.extend(checkpoint.error_feedback(name)?);
        }
        Ok(tensors)
    }
}

/// The current state of a peer, borrowed for a checkpoint.
pub(crate) struct Present<'a> {
    pub(crate) run: RunId,
    pub(crate) position: LightClientState,
    pub(crate) replica: &'a Replica,
    /// Number of optimizer steps, and AdamW's moments.
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
    /// Copies the state into a snapshot. Training can continue while the snapshot is written.
    pub(crate) fn snapshot(self, spec: &RunSpec, run_config: String) -> Result<Snapshot> {
        let own = PeerState {
            run: self.run.to_string(),
            next: self.position.next.0,
            head: self.position.head.to_string(),
            outer_steps: self.position.outer_steps,
            warmup_from: self.warmup_from,
        };
        // With the tokenizer, the checkpoint is a complete model for `covey generate`.
        let mut extra_files = spec.tokenizer_files.clone();
        let last = self.position.last.as_ref().map(Manifest::to_bytes);
        extra_files.extend(last.map(|bytes| ExtraFile { name: MANIFEST.into(), bytes }));
        // As bytes, because the peer will commit to exactly these.
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
                // The run fixes the schedule, so a peer need not store it.
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
