//! The interface between the Gauntlet and the code that decodes deltas and runs the model.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::agreement::draw::Seed;
use crate::gauntlet::checks::Sketch;
use crate::membership::Slot;
use crate::objects::{Exclusion, OuterSettings};
use crate::primitives::{Digest, PeerId, Round};

/// The reason why this machine could not evaluate. It is never a property of a delta.
pub type EvaluatorError = Box<dyn std::error::Error + Send + Sync>;

/// Mean losses over the same windows with three versions of the weights, in nats per token.
///
/// The gain of any step differs much between windows. The difference from the typical delta does
/// not contain this variation, so far fewer windows show whether a peer trained on them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeLosses {
    /// With the weights at the start of the round.
    pub before: f64,
    /// With the weights after the delta.
    pub after: f64,
    /// With the weights after the mean of all admitted deltas; equal to `before` if there are fewer
    /// than two.
    pub typical: f64,
}

impl ProbeLosses {
    /// Returns the relative drop of the loss: (before - after) / before. Negative if the loss
    /// rises.
    pub fn relative_gain(&self) -> f64 {
        let gain = self.before - self.after;
        // A loss of 0 can only rise. The absolute value then distinguishes two deltas.
        if self.before > 0.0 { gain / self.before } else { gain }
    }

    /// Returns the advantage over the typical delta: (typical - after) / before.
    pub fn relative_advantage(&self) -> f64 {
        let advantage = self.typical - self.after;
        if self.before > 0.0 { advantage / self.before } else { advantage }
    }

    /// Returns true if all losses are finite and not negative, and the gain is finite.
    fn are_usable(&self) -> bool {
        // The quotient overflows if `before` is tiny, even though both losses are finite.
        [self.before, self.after, self.typical].iter().all(|loss| loss.is_finite() && *loss >= 0.0)
            && self.relative_gain().is_finite()
    }
}

/// The measured effect of one delta on the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// On windows assigned to the peer.
    pub own: ProbeLosses,
    /// On windows assigned to no peer, the same for all peers of the round.
    pub random: ProbeLosses,
}

impl Measurement {
    /// The gradient score: the relative gain on unassigned windows.
    pub fn score(&self) -> f64 {
        self.random.relative_gain()
    }

    /// The own-data test: returns true if the advantage over the typical delta is larger on
    /// assigned windows than on unassigned ones, as it is for a delta that was trained on them.
    pub fn favours_own(&self) -> bool {
        self.own.relative_advantage() > self.random.relative_advantage()
    }

    /// Returns true if all losses are finite and not negative. Otherwise the delta is refused.
    pub fn is_usable(&self) -> bool {
        self.own.are_usable() && self.random.are_usable()
    }
}

/// The deltas to measure in a round, and how.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationRequest<'round> {
    /// The round.
    pub round: Round,
    /// The seed from which windows are drawn.
    pub seed: &'round Seed,
    /// The outer settings of the round. A delta is tried with `eval_rate` times the outer rate.
    pub outer: &'round OuterSettings,
    /// Share of the outer learning rate (Gauntlet: `beta_t = c alpha_t`, c < 1).
    pub eval_rate: f64,
    /// Windows per peer, both assigned and unassigned.
    pub windows: u32,
    /// Peers with an admitted delta. Norms are clipped to the median over them.
    pub admitted: &'round BTreeSet<PeerId>,
    /// The peers to evaluate, all of them admitted, with the slots that determine their windows.
    pub evaluated: &'round BTreeMap<PeerId, Slot>,
}

/// The round of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Age {
    /// The round that is judged.
    Current,
    /// The round before it.
    Previous,
}

/// Decodes deltas and tries them on the weights at the start of a round.
///
/// The implementation holds these weights. All results except losses must have the same bits on all
/// machines, since validators compare them exactly.
pub trait Evaluator {
    /// Decodes a delta and keeps it for the calls below.
    ///
    /// # Errors
    /// The reason why the delta is refused.
    fn admit(&mut self, age: Age, peer: PeerId, payload: &Bytes) -> Result<(), Exclusion>;

    /// Returns the positions that an admitted delta contains, within the chunks drawn from `seed`.
    fn sketch(&self, age: Age, peer: PeerId, seed: &Seed) -> Option<Sketch>;

    /// Returns the norm of an admitted delta before clipping.
    ///
    /// The sum must run in a fixed order. Without a norm, a delta passes
    /// [`Gauntlet::outsized`](crate::gauntlet::Gauntlet::outsized); clipping still limits its
    /// effect.
    fn norm(&self, _age: Age, _peer: PeerId) -> Option<f64> {
        None
    }

    /// Measures the losses of each evaluated delta. They must be numbers, however bad a delta is.
    ///
    /// # Errors
    /// The reason why this machine could not measure.
    fn measure(
        &mut self,
        trial: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError>;

    /// Returns the digest of the weights after the round, applied with the deltas of `included`.
    ///
    /// # Errors
    /// The reason why this machine could not compute it.
    fn weights_after(
        &mut self,
        included: &BTreeSet<PeerId>,
        outer: &OuterSettings,
    ) -> Result<Digest, EvaluatorError>;

    /// Drops all admitted deltas.
    fn clear(&mut self);
}
