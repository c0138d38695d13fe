//! The windows of an evaluation, drawn from the seed of the round. Peers cannot know them while
//! they train.

use std::collections::BTreeMap;
use std::ops::Range;

use covey_comms::agreement::draw::Seed;
use covey_comms::gauntlet::scoring::EvaluationRequest;
use covey_comms::primitives::PeerId;
use covey_data::error::DataError;
use covey_data::sampling::Assignment;
use covey_model::error::BatchError;
use covey_optim::fsdp::FsdpError;

/// Why this machine cannot measure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaEvaluationError {
    /// Windows that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Windows that do not fit the network.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Weights that do not fit the network.
    #[error(transparent)]
    Weights(#[from] FsdpError),
    /// An evaluated delta was not admitted.
    #[error("the delta of {} is to be measured, but was not read", peer.short())]
    NotAdmitted {
        /// The peer that published it.
        peer: PeerId,
    },
}

/// Tokens of some windows, concatenated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) tokens: Vec<u32>,
    pub(super) windows: usize,
}

/// The windows of all evaluations of a round.
///
/// - The assigned windows of a peer are drawn among those of its slot, on which it had to train.
/// - The random windows belong to no slot and are the same for all peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeBatches {
    pub(super) own: BTreeMap<PeerId, Passage>,
    pub(super) random: Passage,
}

impl ProbeBatches {
    /// Draws the windows from the seed of the round.
    ///
    /// # Errors
    /// Windows that cannot be read.
    pub fn draw(trial: &EvaluationRequest<'_>, assignment: &Assignment) -> Result<Self, DataError> {
        let slots = trial.evaluated.values().map(|slot| slot.num_slots).max().unwrap_or(0);
        let read = |purpose: &str, samples| passage(trial, assignment, purpose, samples);
        let own = |(peer, slot): (&PeerId, &covey_comms::membership::Slot)| {
            let first = u64::from(slot.index) * assignment.samples();
            let samples = first..first + assignment.samples();
            Ok((*peer, read(&format!("own windows {peer}"), samples)?))
        };
        let random = read("random windows", assignment.unassigned(slots))?;
        Ok(Self { own: trial.evaluated.iter().map(own).collect::<Result<_, DataError>>()?, random })
    }
}

fn passage(
    trial: &EvaluationRequest<'_>,
    assignment: &Assignment,
    purpose: &str,
    samples: Range<u64>,
) -> Result<Passage, DataError> {
    let seed: &Seed = trial.seed;
    let drawn = seed.draw(purpose, trial.windows as usize, samples.end - samples.start);
    let mut tokens = Vec::new();
    for offset in &drawn {
        assignment.read(trial.round.0, samples.start + offset, &mut tokens)?;
    }
    Ok(Passage { tokens, windows: drawn.len() })
}
