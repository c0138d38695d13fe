//! The state machine of a validator: it collects commitments, closes them, evaluates revealed
//! deltas, proposes or verifies a verdict, and votes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::evaluate::delivered_again;
use super::round_state::{RoundStage, RoundState};
use crate::gauntlet::Gauntlet;
use crate::gauntlet::conduct::PeerTable;
use crate::gauntlet::scoring::Evaluator;
use crate::gauntlet::verdict::Verdict;
use crate::history::{LightClient, remove_obsolete};
use crate::membership::{ActiveSet, Attendance};
use crate::objects::{Manifest, OuterSettings};
use crate::primitives::{Digest, Keypair, PeerId, Round, Timestamp};
use crate::run::{CommsError, RoundParams, Run};

/// Returns true for peers that may take part: registered in the ledger, and not departed.
pub type Registered = dyn Fn(PeerId) -> bool + Send + Sync;

/// A closed round.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// The manifest, as it is in the bucket.
    pub manifest: Manifest,
    /// The payloads of the included deltas.
    pub deltas: BTreeMap<PeerId, Bytes>,
    /// The verdict on which the manifest is based.
    pub verdict: Arc<Verdict>,
}

/// The results of the previous round.
#[derive(Debug, Default)]
pub(super) struct PreviousOutcome {
    /// The records of all peers after it.
    pub(super) peer_table: PeerTable,
    /// The digest of its verdict.
    pub(super) verdict: Option<Digest>,
    /// The payloads of its included deltas.
    pub(super) deltas: BTreeMap<PeerId, Bytes>,
}

/// Closes rounds as one of the run's validators.
///
/// All state is in the bucket or derived from the key, so a validator that is killed continues
/// after a restart. Only deadlines start again, from the first heartbeat that the new process sees.
pub struct Validator {
    light_client: LightClient,
    pub(super) identity: Keypair,
    pub(super) gauntlet: Gauntlet,
    pub(super) registry: Option<Arc<Registered>>,
    /// The manifests before the open round, oldest first.
    pub(super) history: VecDeque<Manifest>,
    pub(super) previous: PreviousOutcome,
    pub(super) attendance: Attendance,
    /// For each joining peer, true if its join request is valid.
    pub(super) join_requests: BTreeMap<PeerId, bool>,
    pub(super) state: RoundState,
    /// The manifest that was read and not yet returned to the caller.
    adopted: Option<Manifest>,
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (identity, state) = (&self.identity, &self.state);
        formatter
            .debug_struct("Validator")
            .field("identity", identity)
            .field("state", state)
            .finish_non_exhaustive()
    }
}

impl Validator {
    /// Starts at the position of `light_client`.
    ///
    /// # Errors
    /// [`CommsError::NotValidator`] if `identity` is not in the validator set; errors of the
    /// previous manifests and verdict; errors of the bucket.
    pub async fn open(light_client: LightClient, identity: Keypair) -> Result<Self, CommsError> {
        let run = light_client.run();
        run.check_validator(&identity)?;
        let description = run.description();
        let gauntlet = Gauntlet::new(description.gauntlet.clone(), description.rules.max_included);
        let history = recent_history(&light_client).await?;
        let previous = previous(&light_client).await?;
        let state = RoundState::new(light_client.next(), light_client.head(), light_client.last());
        Ok(Self {
            light_client,
            identity,
            gauntlet,
            registry: None,
            history,
            previous,
            attendance: Attendance::default(),
            join_requests: BTreeMap::new(),
            state,
            adopted: None,
        })
    }

    /// Gives slots only to peers for which `registry` returns true.
    #[must_use]
    pub fn with_registry(self, registry: Arc<Registered>) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// The verified history.
    pub fn light_client(&self) -> &LightClient {
        &self.light_client
    }

    /// The records of all peers after the last round.
    pub fn peer_table(&self) -> &PeerTable {
        &self.previous.peer_table
    }

    /// Removes objects that no reader needs any more; see `history::retention`.
    ///
    /// A validator without the right to delete leaves the removal to the others.
    ///
    /// # Errors
    /// Errors of the bucket.
    pub async fn retire(&self) -> Result<(), CommsError> {
        remove_obsolete(self.run(), self.light_client.next()).await
    }

    /// Runs the open round until it is decided, polling the bucket at intervals of `every`. Returns
    /// `None` if `interrupt` is raised first.
    ///
    /// `evaluator` holds the weights at the start of the round. After an error the call can be
    /// repeated.
    ///
    /// # Errors
    /// Errors of the bucket, of a manifest in the bucket, or of `evaluator`.
    pub async fn close_round(
        &mut self,
        outer: OuterSettings,
        every: Duration,
        evaluator: &mut dyn Evaluator,
        interrupt: &AtomicBool,
    ) -> Result<Option<Closed>, CommsError> {
        let clock = self.run().clock().clone();
        // Adopting comes first: another validator may have certified the round while this one
        // waited.
        while !interrupt.load(Ordering::Relaxed) {
            if let Some(closed) = self.adopt().await? {
                return Ok(Some(closed));
            }
            if self.advance(outer, evaluator).await? {
                continue;
            }
            // Wakes early for the next deadline, so a long polling interval does not delay a round.
            let next_look = clock.now() + every;
            clock
                .sleep_until(self.next_event().map_or(next_look, |event| event.min(next_look)))
                .await;
        }
        Ok(None)
    }

    /// Polls the open round once. Returns true if the state changed: the next poll can follow at
    /// once.
    async fn advance(
        &mut self,
        outer: OuterSettings,
        evaluator: &mut dyn Evaluator,
    ) -> Result<bool, CommsError> {
        match self.state.stage {
            RoundStage::Committing => self.collect().await,
            RoundStage::Revealing { until } => self.collect_deltas(until).await,
            // In this order: votes may already suffice, and an own proposal must precede votes on
            // others.
            RoundStage::Judging { since } => Ok(self.count_votes().await?
                || self.propose_in_turn(outer, since, evaluator).await?
                || self.verify_proposals(outer, evaluator).await?),
        }
    }

    /// The next deadline of the current stage, if it is in the future.
    fn next_event(&self) -> Option<Timestamp> {
        let now = self.run().clock().now();
        let event = match self.state.stage {
            RoundStage::Committing => self.state.deadline,
            RoundStage::Revealing { until } => Some(until),
            RoundStage::Judging { since } => {
                self.turn().map(|turn| since + self.rules().takeover * turn)
            }
        };
        event.filter(|event| *event > now)
    }

    pub(super) fn run(&self) -> &Run {
        self.light_client.run()
    }

    pub(super) fn rules(&self) -> &RoundParams {
        &self.run().description().rules
    }

    pub(super) fn me(&self) -> PeerId {
        self.identity.peer()
    }

    pub(super) fn active_set(&self) -> ActiveSet<'_> {
        let (history, attendance) = (&self.history, &self.attendance);
        ActiveSet {
            round: self.state.round,
            history,
            attendance,
            max_missed_rounds: self.rules().patience,
        }
    }

    /// Adopts the manifest of the open round once it is in the bucket.
    async fn adopt(&mut self) -> Result<Option<Closed>, CommsError> {
        if self.adopted.is_none() {
            self.adopted = self.light_client.poll().await?;
        }
        let Some(manifest) = self.adopted.clone() else { return Ok(None) };
        let verdict = self.run().verdict_of(&manifest).await?;
        // Usually all included deltas were fetched for the verdict; a restarted validator has none.
        let deltas = match self.state.payloads_of(&manifest) {
            Some(deltas) => deltas,
            None => self.light_client.gather(&manifest).await?,
        };
        self.begin_round_after(&manifest, &verdict, &deltas);
        self.adopted = None;
        Ok(Some(Closed { manifest, deltas, verdict: Arc::new(verdict) }))
    }

    fn begin_round_after(
        &mut self,
        manifest: &Manifest,
        verdict: &Verdict,
        deltas: &BTreeMap<PeerId, Bytes>,
    ) {
        self.previous = PreviousOutcome {
            peer_table: verdict.outcome.peer_table.clone(),
            verdict: Some(manifest.basis().verdict),
            deltas: deltas.clone(),
        };
        // A peer loses its slot after `patience` missed rounds, so older manifests decide nothing.
        self.history.push_back(manifest.clone());
        if self.history.len() > self.rules().patience as usize {
            self.history.pop_front();
        }
        self.state =
            RoundState::new(self.light_client.next(), self.light_client.head(), Some(manifest));
    }

    /// The peers that get a slot by the manifest of this round.
    pub(super) fn joining(&self) -> BTreeSet<PeerId> {
        let applicants = self.active_set().applicants(&self.state.active());
        let is_known =
            |peer: &PeerId| self.registry.as_ref().is_none_or(|registry| registry(*peer));
        let has_valid_request =
            |peer: &PeerId| self.join_requests.get(peer).is_some_and(|is_valid| *is_valid);
        applicants.into_iter().filter(|peer| has_valid_request(peer) && is_known(peer)).collect()
    }

    pub(super) fn is_first_round(&self) -> bool {
        self.state.round == Round::FIRST
    }
}

/// The last `patience` manifests before the position of `light_client`, oldest first, verified
/// backwards from there.
async fn recent_history(light_client: &LightClient) -> Result<VecDeque<Manifest>, CommsError> {
    let run = light_client.run();
    let mut history: VecDeque<Manifest> = light_client.last().cloned().into_iter().collect();
    let (mut round, mut head) = (light_client.next(), light_client.head());
    if let Some(last) = history.front() {
        (round, head) = (last.round(), last.previous());
    }
    while history.len() < run.description().rules.patience as usize
        && let Some(before) = round.before()
    {
        let manifest = run.manifest_leading_to(before, head).await?;
        (round, head) = (before, manifest.previous());
        history.push_front(manifest);
    }
    Ok(history)
}

/// The results of the round before the position of `light_client`. Deltas that are no longer in the
/// bucket are left out.
async fn previous(light_client: &LightClient) -> Result<PreviousOutcome, CommsError> {
    let Some(last) = light_client.last() else { return Ok(PreviousOutcome::default()) };
    let verdict = light_client.run().verdict_of(last).await?;
    let deltas = delivered_again(light_client.gather(last).await)?.unwrap_or_default();
    Ok(PreviousOutcome {
        peer_table: verdict.outcome.peer_table,
        verdict: Some(last.basis().verdict),
        deltas,
    })
}
