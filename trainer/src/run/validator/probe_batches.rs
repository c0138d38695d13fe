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
    #[error("cannot measure the delta of {}: it was not admitted", peer.short())]
    NotAdmitted {
        /// The peer that published it.
        peer: PeerId,
    },
}

/// Tokens of some windows, concatenated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WindowGroup {
    pub(super) tokens: Vec<u32>,
    pub(super) num_windows: usize,
}

/// The windows of all evaluations of a round.
///
/// - The assigned windows of a peer are drawn among those of its slot, on which it had to train.
/// - The random windows belong to no slot and are the same for all peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeBatches {
    pub(super) own: BTreeMap<PeerId, WindowGroup>,
    pub(super) random: WindowGroup,
}

impl ProbeBatches {
    /// Draws the windows from the seed of the round.
    ///
    /// # Errors
    /// Windows that cannot be read.
    pub fn draw(
        request: &EvaluationRequest<'_>,
        assignment: &Assignment,
    ) -> Result<Self, DataError> {
        let slots = request.evaluated.values().map(|slot| slot.num_slots).max().unwrap_or(0);
        let mut own = BTreeMap::new();
        for (peer, slot) in request.evaluated {
            let first = u64::from(slot.index) * assignment.samples();
            let samples = first..first + assignment.samples();
            // The peer is part of the purpose: all peers would get the same offsets otherwise.
            let purpose = format!("own windows {peer}");
            own.insert(*peer, draw_windows(request, assignment, &purpose, samples)?);
        }
        let unassigned = assignment.unassigned(slots);
        let random = draw_windows(request, assignment, "random windows", unassigned)?;
        Ok(Self { own, random })
    }
}

fn draw_windows(
    request: &EvaluationRequest<'_>,
    assignment: &Assignment,
    purpose: &str,
    samples: Range<u64>,
) -> Result<WindowGroup, DataError> {
    let seed: &Seed = request.seed;
    let drawn = seed.draw(purpose, request.windows as usize, samples.end - samples.start);
    let mut tokens = Vec::new();
    for offset in &drawn {
        assignment.read(request.round.0, samples.start + offset, &mut tokens)?;
    }
    Ok(WindowGroup { tokens, num_windows: drawn.len() })
}
