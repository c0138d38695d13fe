//! The one who closes rounds together with others: calls the roll, judges what was revealed, votes.
//!
//! - [`Validator`] plays a round through its stages.
//! - `session` is what it knows of the open round, `gathering` how it comes to know it.
//! - `evidence` fetches and measures deltas, `proposing` makes a verdict of them, `auditing` holds another's verdict to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

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

/// Tells who may take part: registered in the ledger, and not gone.
pub type Registered = dyn Fn(PeerId) -> bool + Send + Sync;

/// A round that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// The decision, which is in the bucket.
    pub manifest: Manifest,
    /// The payloads of the included deltas.
    pub deltas: BTreeMap<PeerId, Bytes>,
    /// What the decision follows from.
    pub verdict: Arc<Verdict>,
}

/// What follows from the rounds before the open one.
#[derive(Debug, Default)]
pub(super) struct PreviousOutcome {
    /// Standings of everybody.
    pub(super) peer_table: PeerTable,
    /// The digest of the last verdict.
    pub(super) verdict: Option<Digest>,
    /// The deltas that the last round included.
    pub(super) deltas: BTreeMap<PeerId, Bytes>,
}

/// Decides rounds in the name of one of the run's validators.
///
/// All that it knows comes from the bucket and from its key, so one that is killed and started again goes on where it was;
/// only deadlines count anew from when the new one first sees somebody.
pub struct Validator {
    light_client: LightClient,
    pub(super) identity: Keypair,
    pub(super) gauntlet: Gauntlet,
    pub(super) registry: Option<Arc<Registered>>,
    /// The manifests before the open round, the newest last.
    pub(super) history: VecDeque<Manifest>,
    pub(super) previous: PreviousOutcome,
    pub(super) attendance: Attendance,
    /// Whether the hello of each applicant holds.
    pub(super) join_requests: BTreeMap<PeerId, bool>,
    pub(super) session: RoundState,
    /// The decision that the caller has not been told of.
    adopted: Option<Manifest>,
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (identity, session) = (&self.identity, &self.session);
        formatter
            .debug_struct("Validator")
            .field("identity", identity)
            .field("session", session)
            .finish_non_exhaustive()
    }
}

impl Validator {
    /// Takes over from where `light_client` stands.
    ///
    /// # Errors
    /// [`CommsError::NotValidator`] for an identity that is none of the run's validators; what is wrong with the manifests
    /// and the verdict before; or what the bucket says.
    pub async fn open(light_client: LightClient, identity: Keypair) -> Result<Self, CommsError> {
        let run = light_client.run();
        run.check_validator(&identity)?;
        let description = run.description();
        let gauntlet = Gauntlet::new(description.gauntlet.clone(), description.rules.max_included);
        let history = recent_history(&light_client).await?;
        let previous = previous(&light_client).await?;
        let session =
            RoundState::new(light_client.next(), light_client.head(), light_client.last());
        Ok(Self {
            light_client,
            identity,
            gauntlet,
            registry: None,
            history,
            previous,
            attendance: Attendance::default(),
            join_requests: BTreeMap::new(),
            session,
            adopted: None,
        })
    }

    /// Gives seats only to those whom `registry` knows.
    #[must_use]
    pub fn with_registry(self, registry: Arc<Registered>) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// The history so far.
    pub fn light_client(&self) -> &LightClient {
        &self.light_client
    }

    /// Standings of everybody after the last round.
    pub fn peer_table(&self) -> &PeerTable {
        &self.previous.peer_table
    }

    /// Removes objects that no reader needs any more; see `history::retention`.
    ///
    /// A validator whose keys may not delete leaves the removal to those that may.
    ///
    /// # Errors
    /// Errors of the bucket.
    pub async fn retire(&self) -> Result<(), CommsError> {
        remove_obsolete(self.run(), self.light_client.next()).await
    }

    /// Plays the open round to its end, looking into the bucket `every` so often; nothing if `interrupt` came first.
    ///
    /// `evaluator` holds the weights that the round starts from. After an error the call can be repeated and goes on where it
    /// was.
    ///
    /// # Errors
    /// What the bucket says, what is wrong with a manifest that is there already, or what keeps `evaluator` from measuring.
    pub async fn close_round(
        &mut self,
        outer: OuterSettings,
        every: Duration,
        evaluator: &mut dyn Evaluator,
        interrupt: &AtomicBool,
    ) -> Result<Option<Closed>, CommsError> {
        let clock = self.run().clock().clone();
        while !interrupt.load(Ordering::Relaxed) {
            if let Some(closed) = self.adopt().await? {
                return Ok(Some(closed));
            }
            if self.advance(outer, evaluator).await? {
                continue;
            }
            let next_look = clock.now() + every;
            clock
                .sleep_until(self.next_event().map_or(next_look, |event| event.min(next_look)))
                .await;
        }
        Ok(None)
    }

    /// One look at the open round; whether something came of it, so that the next can follow at once.
    async fn advance(
        &mut self,
        outer: OuterSettings,
        evaluator: &mut dyn Evaluator,
    ) -> Result<bool, CommsError> {
        match self.session.stage {
            RoundStage::Committing => self.gather().await,
            RoundStage::Revealing { until } => self.await_deltas(until).await,
            RoundStage::Judging { since } => Ok(self.count_votes().await?
                || self.propose_in_turn(outer, since, evaluator).await?
                || self.audit_others(outer, evaluator).await?),
        }
    }

    /// When something happens by itself.
    fn next_event(&self) -> Option<Timestamp> {
        let now = self.run().clock().now();
        let event = match self.session.stage {
            RoundStage::Committing => self.session.deadline,
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

    pub(super) fn roster(&self) -> ActiveSet<'_> {
        let (history, attendance) = (&self.history, &self.attendance);
        ActiveSet {
            round: self.session.round,
            history,
            attendance,
            patience: self.rules().patience,
        }
    }

    /// Goes along with the decision, once it is there.
    async fn adopt(&mut self) -> Result<Option<Closed>, CommsError> {
        if self.adopted.is_none() {
            self.adopted = self.light_client.poll().await?;
        }
        let Some(manifest) = self.adopted.clone() else { return Ok(None) };
        let verdict = self.run().verdict_of(&manifest).await?;
        let deltas = match self.session.payloads_of(&manifest) {
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
        self.history.push_back(manifest.clone());
        if self.history.len() > self.rules().patience as usize {
            self.history.pop_front();
        }
        self.session =
            RoundState::new(self.light_client.next(), self.light_client.head(), Some(manifest));
    }

    /// Who gets a seat by the manifest of this round.
    pub(super) fn joining(&self) -> BTreeSet<PeerId> {
        let applicants = self.roster().applicants(&self.session.active());
        let is_known =
            |peer: &PeerId| self.registry.as_ref().is_none_or(|registry| registry(*peer));
        let has_valid_request =
            |peer: &PeerId| self.join_requests.get(peer).is_some_and(|is_valid| *is_valid);
        applicants.into_iter().filter(|peer| has_valid_request(peer) && is_known(peer)).collect()
    }

    pub(super) fn is_enlistment(&self) -> bool {
        self.session.round == Round::FIRST
    }
}

/// The last `patience` manifests before where `light_client` stands, the newest last, verified from there backwards.
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

/// What follows from the round that `light_client` came through last; deltas that are gone by now are done without.
async fn previous(light_client: &LightClient) -> Result<PreviousOutcome, CommsError> {
    let Some(last) = light_client.last() else { return Ok(PreviousOutcome::default()) };
    let verdict = light_client.run().verdict_of(last).await?;
    let deltas = match light_client.gather(last).await {
        Err(
            CommsError::DeltaGone { .. }
            | CommsError::BucketUnreachable { .. }
            | CommsError::CannotOpenBucket { .. },
        ) => BTreeMap::new(),
        deltas => deltas?,
    };
    Ok(PreviousOutcome {
        peer_table: verdict.outcome.peer_table,
        verdict: Some(last.basis().verdict),
        deltas,
    })
}
