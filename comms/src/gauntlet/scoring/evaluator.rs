//! What the Gauntlet has to ask whoever knows what a delta is: may it be read, what does it resemble, what does it do to
//! the model.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::agreement::draw::Seed;
use crate::gauntlet::checks::Sketch;
use crate::membership::Slot;
use crate::objects::{Exclusion, OuterSettings};
use crate::primitives::{Digest, PeerId, Round};

/// Why an examination could not be made; nobody is to blame for it but the machine.
pub type EvaluatorError = Box<dyn std::error::Error + Send + Sync>;

/// Mean losses on the same windows without a delta, with it, and with what is common to all, in nats per token.
///
/// Windows differ in how much any step helps with them. What the delta does beyond the typical one does not depend on
/// that, so it tells of far fewer windows whether a peer has learned from them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeLosses {
    /// With the weights as the round found them.
    pub before: f64,
    /// With the weights as the delta would move them.
    pub after: f64,
    /// With the weights as the mean of all admitted deltas would move them; as before if there are fewer than two.
    pub typical: f64,
}

impl ProbeLosses {
    /// By how much the loss falls, relative to what it was; negative if it rises.
    ///
    /// A loss that was zero already can only rise: by how much, then, is all that there is to say.
    pub fn relative_gain(&self) -> f64 {
        let gain = self.before - self.after;
        if self.before > 0.0 { gain / self.before } else { gain }
    }

    /// By how much more the loss falls than it does with the mean of all deltas, relative to what it was.
    pub fn relative_advantage(&self) -> f64 {
        let advantage = self.typical - self.after;
        if self.before > 0.0 { advantage / self.before } else { advantage }
    }

    /// Whether all losses are numbers that a mean of surprises can be.
    fn are_usable(&self) -> bool {
        [self.before, self.after, self.typical].iter().all(|loss| loss.is_finite() && *loss >= 0.0)
            && self.relative_gain().is_finite()
    }
}

/// What one delta does to the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// On windows that its peer was assigned.
    pub own: ProbeLosses,
    /// On windows that nobody was assigned, the same for all peers of the round.
    pub random: ProbeLosses,
}

impl Measurement {
    /// The gradient score: the relative gain on windows that nobody was assigned.
    pub fn score(&self) -> f64 {
        self.random.relative_gain()
    }

    /// Whether the delta beats the typical one by more on the windows of its peer than on those of nobody, as it does if it
    /// was made from them.
    pub fn favours_own(&self) -> bool {
        self.own.relative_advantage() > self.random.relative_advantage()
    }

    /// Whether all losses are finite and not negative; a delta that makes them anything else is out of bounds.
    pub fn is_usable(&self) -> bool {
        self.own.are_usable() && self.random.are_usable()
    }
}

/// Deltas whose effect is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct EvaluationRequest<'round> {
    /// The round.
    pub round: Round,
    /// What windows are drawn from.
    pub seed: &'round Seed,
    /// How the round is applied; the trial moves the weights by `eval_rate` times as much.
    pub outer: &'round OuterSettings,
    /// Share of the outer learning rate (Gauntlet: `beta_t = c alpha_t`, c < 1).
    pub eval_rate: f64,
    /// Windows of each kind per peer.
    pub windows: u32,
    /// Everybody whose delta may be read; norms are clipped to their median.
    pub admitted: &'round BTreeSet<PeerId>,
    /// Whose deltas to measure, all of them admitted, and where they sit: that decides what they were assigned.
    pub evaluated: &'round BTreeMap<PeerId, Slot>,
}

/// Which round a delta is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Age {
    /// The round that is judged.
    Current,
    /// The one before.
    Previous,
}

/// Reads deltas and tries them on the weights that the round starts from, which it holds.
pub trait Evaluator {
    /// Reads a delta and keeps it for the calls below.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn admit(&mut self, age: Age, peer: PeerId, payload: &Bytes) -> Result<(), Exclusion>;

    /// Which places a delta that was admitted moves, within the chunks that `seed` draws.
    fn sketch(&self, age: Age, peer: PeerId, seed: &Seed) -> Option<Sketch>;

    /// How long a delta that was admitted is: the norm of what it moves the weights by, before any clipping.
    ///
    /// Computed in a fixed order, so that all machines get the same bits. An examiner that gives none lets deltas of any
    /// length pass [`Gauntlet::outsized`](crate::gauntlet::judge::Gauntlet::outsized); clipping still holds them back.
    fn norm(&self, _age: Age, _peer: PeerId) -> Option<f64> {
        None
    }

    /// Losses with and without each of the evaluated deltas: finite numbers, however bad a delta is.
    ///
    /// # Errors
    /// Whatever keeps this machine from measuring.
    fn measure(
        &mut self,
        trial: &EvaluationRequest<'_>,
    ) -> Result<BTreeMap<PeerId, Measurement>, EvaluatorError>;

    /// The digest of the weights as they are after the round, if it is applied with the deltas of `included`.
    ///
    /// # Errors
    /// Whatever keeps this machine from computing it.
    fn weights_after(
        &mut self,
        included: &BTreeSet<PeerId>,
        outer: &OuterSettings,
    ) -> Result<Digest, EvaluatorError>;

    /// Forgets all deltas.
    fn clear(&mut self);
}
