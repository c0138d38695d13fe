//! The coordinator's loop: it closes rounds, follows them like everybody else, and keeps checkpoints.
//!
//! It trains nothing and decides nothing but who is in: every delta that passes the checks enters the model.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use covey_comms::{Closed, Coordinator, Digest, Exclusion, Follower, Identity, OuterSettings, PeerId, Run};
use covey_optim::sparseloco::{Clip, Delta, MeanOver, SparseLocoConfig};

use super::replica::{Replica, exclusion};
use super::standing::Standing;
use super::terms::Terms;
use super::weight_parts::to_parts;

/// Closes the rounds of one run.
#[derive(Debug)]
pub struct Coordination {
    coordinator: Coordinator,
    identity: Identity,
    replica: Replica,
    terms: Terms,
    poll: Duration,
}

/// A round that was closed.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedRound {
    /// Its number.
    pub round: u32,
    /// Rounds so far that moved the weights, this one included.
    pub outer_steps: u64,
    /// Rounds that move the weights over the whole run.
    pub total: u64,
    /// Deltas that entered the model.
    pub included: usize,
    /// Who was left out, and why.
    pub excluded: Vec<(PeerId, Exclusion)>,
    /// Bytes of the deltas that entered.
    pub bytes: u64,
    /// Digest of the weights after it.
    pub weights: String,
}

impl Coordination {
    /// The coordinator of `run`, wherever it stopped before; looks for news every `poll`.
    ///
    /// # Errors
    /// An identity that is not the run's coordinator, or a bucket that fails.
    pub async fn open(run: Run, terms: Terms, identity: Identity, poll: Duration) -> anyhow::Result<Self> {
        let Standing { mut follower, mut replica } = Standing::enter(&run, &terms).await?;
        let mut is_behind = false;
        while let Some(manifest) = follower.poll().await? {
            let deltas = replica.decode(&follower.gather(&manifest).await?)?;
            replica.apply(&manifest, &deltas)?;
            // Whoever closed the round may have been killed before it could keep these weights.
            if is_due(&follower, &terms) {
                keep_checkpoint(&follower, &identity, &replica, replica.digest()).await?;
                is_behind = true;
            }
        }
        let coordinator = Coordinator::open(follower, identity.clone()).await?;
        if is_behind {
            coordinator.retire().await?;
        }
        Ok(Self { coordinator, identity, replica, terms, poll })
    }

    /// The weights as they are after the last round.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Whether the run has made all its steps.
    pub fn is_over(&self) -> bool {
        self.coordinator.follower().outer_steps() >= self.terms.outer_steps()
    }

    /// Closes the next round, once it may be closed; nothing if `interrupt` was raised before.
    ///
    /// # Errors
    /// A bucket that fails. A later start decides the same.
    pub async fn close_round(&mut self, interrupt: &AtomicBool) -> anyhow::Result<Option<ClosedRound>> {
        let outer = settings(&self.terms.config.sparseloco(), self.coordinator.follower().outer_steps());
        let (replica, mut decoded) = (&self.replica, BTreeMap::new());
        let mut judge = |peer: PeerId, payload: &Bytes| match replica.codec().decode(payload) {
            Ok(delta) => {
                decoded.insert(peer, delta);
                Ok(())
            }
            Err(error) => Err(exclusion(&error)),
        };
        let closed = self.coordinator.close_round(outer, self.poll, &mut judge, interrupt).await?;
        let Some(closed) = closed else { return Ok(None) };
        self.apply(&closed, decoded)?;
        let (weights, follower) = (self.replica.digest(), self.coordinator.follower());
        if is_due(follower, &self.terms) {
            keep_checkpoint(follower, &self.identity, &self.replica, weights).await?;
            self.coordinator.retire().await?;
        }
        Ok(Some(self.report(&closed, weights)))
    }

    fn apply(&mut self, closed: &Closed, mut decoded: BTreeMap<PeerId, Delta>) -> anyhow::Result<()> {
        decoded.retain(|peer, _| closed.manifest.included().contains_key(peer));
        // Another coordinator may have closed the round, over deltas that this one has not seen.
        let complete = decoded.len() == closed.manifest.included().len();
        let deltas = if complete { decoded } else { self.replica.decode(&closed.deltas)? };
        self.replica.apply(&closed.manifest, &deltas)?;
        Ok(())
    }

    fn report(&self, closed: &Closed, weights: Digest) -> ClosedRound {
        let manifest = &closed.manifest;
        ClosedRound {
            round: manifest.round().0,
            outer_steps: self.coordinator.follower().outer_steps(),
            total: self.terms.outer_steps(),
            included: manifest.included().len(),
            excluded: manifest.excluded().iter().map(|(peer, reason)| (*peer, *reason)).collect(),
            bytes: manifest.included().values().map(|inclusion| inclusion.length).sum(),
            weights: weights.to_string(),
        }
    }
}

/// Whether the weights that `follower` stands at are to be kept in the bucket.
fn is_due(follower: &Follower, terms: &Terms) -> bool {
    let every = follower.run().description().rules.checkpoint_every;
    follower.next().0.is_multiple_of(every) || follower.outer_steps() >= terms.outer_steps()
}

/// Publishes the weights that `follower` stands at; a checkpoint that is there already stays.
async fn keep_checkpoint(
    follower: &Follower,
    coordinator: &Identity,
    replica: &Replica,
    weights: Digest,
) -> anyhow::Result<()> {
    let parts = to_parts(&replica.weights().collect::<Vec<_>>())?;
    let (round, lineage, steps) = (follower.next(), follower.head(), follower.outer_steps());
    follower.run().publish_checkpoint(coordinator, round, lineage, weights, steps, parts).await?;
    Ok(())
}

/// The outer settings of the round after `outer_steps` others.
fn settings(config: &SparseLocoConfig, outer_steps: u64) -> OuterSettings {
    OuterSettings {
        alpha: config.outer_learning_rate.rate(outer_steps),
        mean_over: match config.mean_over {
            MeanOver::Senders => covey_comms::MeanOver::Senders,
            MeanOver::Peers => covey_comms::MeanOver::Peers,
        },
        clip: match config.clip {
            Clip::Off => covey_comms::Clip::Off,
            Clip::MedianNorm => covey_comms::Clip::MedianNorm,
        },
    }
}
