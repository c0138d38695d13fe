//! The one who closes rounds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use crate::clock::Timestamp;
use crate::error::CommsError;
use crate::exclusion::Exclusion;
use crate::follower::Follower;
use crate::identity::{Identity, PeerId};
use crate::inbox::{Inbox, Judge};
use crate::layout::{Key, Prefix};
use crate::manifest::{MAX_PEERS, Manifest};
use crate::outer::OuterSettings;
use crate::roster::{Attendance, Roster};
use crate::round::Round;
use crate::rules::Rules;
use crate::run::{CONCURRENCY, Run};

/// A round that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// The decision, which is in the bucket.
    pub manifest: Manifest,
    /// The payloads of the included deltas.
    pub deltas: BTreeMap<PeerId, Bytes>,
}

/// Decides rounds in the name of the run's coordinator.
///
/// All that it knows comes from the bucket, so one that is killed and started again goes on where it was; only a deadline
/// counts anew from when the new one first sees somebody. Several may work at once on a store that writes keys once: the
/// first manifest counts, and the others follow it.
#[derive(Debug)]
pub struct Coordinator {
    follower: Follower,
    identity: Identity,
    /// The manifests before the open round, the newest last.
    history: VecDeque<Manifest>,
    attendance: Attendance,
    /// Whether the hello of each applicant holds.
    greetings: BTreeMap<PeerId, bool>,
    inbox: Inbox,
    deadline: Option<Timestamp>,
    /// The decision of somebody else that the caller has not been told of.
    adopted: Option<Manifest>,
}

impl Coordinator {
    /// Takes over from where `follower` stands.
    ///
    /// # Errors
    /// [`CommsError::NotCoordinator`] for any other identity than the run's coordinator; what is wrong with the manifests
    /// before; or what the bucket says.
    pub async fn open(follower: Follower, identity: Identity) -> Result<Self, CommsError> {
        follower.run().check_coordinator(&identity)?;
        let history = recent_history(&follower).await?;
        let inbox = Inbox::new(follower.next(), follower.head(), BTreeSet::new(), 1);
        let (attendance, greetings) = (Attendance::default(), BTreeMap::new());
        let (deadline, adopted) = (None, None);
        let mut coordinator = Self { follower, identity, history, attendance, greetings, inbox, deadline, adopted };
        coordinator.begin_round();
        Ok(coordinator)
    }

    /// The history so far.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// Plays the open round to its end, looking into the bucket `every` so often; nothing if `interrupt` came first.
    ///
    /// `judge` looks at the content of each delta that passed all other checks. It is not asked about rounds that another
    /// coordinator closed. After an error the call can be repeated and goes on where it was.
    ///
    /// # Errors
    /// What the bucket says, or what is wrong with a manifest that is there already.
    pub async fn close_round(
        &mut self,
        outer: OuterSettings,
        every: Duration,
        judge: &mut Judge<'_>,
        interrupt: &AtomicBool,
    ) -> Result<Option<Closed>, CommsError> {
        let clock = self.follower.run().clock().clone();
        while !interrupt.load(Ordering::Relaxed) {
            if let Some(closed) = self.adopt().await? {
                return Ok(Some(closed));
            }
            // Everything that is listed from here on was delivered before the look began.
            let is_due = self.deadline.is_some_and(|deadline| clock.now() >= deadline);
            self.look(judge).await?;
            if is_due || self.is_complete() {
                return self.close(outer, is_due).await.map(Some);
            }
            let next_look = clock.now() + every;
            clock.sleep_until(self.deadline.map_or(next_look, |deadline| deadline.min(next_look))).await;
        }
        Ok(None)
    }

    fn rules(&self) -> &Rules {
        &self.follower.run().description().rules
    }

    fn round(&self) -> Round {
        self.follower.next()
    }

    fn roster(&self) -> Roster<'_> {
        let (history, attendance) = (&self.history, &self.attendance);
        Roster { round: self.round(), history, attendance, patience: self.rules().patience }
    }

    /// Sees who is there and what was delivered.
    async fn look(&mut self, judge: &mut Judge<'_>) -> Result<(), CommsError> {
        let run = self.follower.run().clone();
        self.attendance.absorb(&run.bucket().list(&Prefix::Peers, None).await?);
        let applicants = self.roster().applicants(self.inbox.seated());
        let unheard = applicants.iter().filter(|peer| !self.greetings.contains_key(peer));
        let hellos: Vec<_> = unheard.map(|peer| greeting(&run, *peer)).collect();
        let greetings: Vec<_> = iter(hellos).buffered(CONCURRENCY).try_collect().await?;
        self.greetings.extend(greetings);
        if self.round() > Round::FIRST {
            let listing = run.deliveries(&self.inbox).await?;
            self.inbox.receive(&run, &listing, judge).await?;
        }
        let is_played = self.roster().is_played(self.inbox.seated()) || !self.inbox.is_empty();
        if self.deadline.is_none() && self.round() > Round::FIRST && (is_played || self.newcomers().next().is_some()) {
            self.deadline = Some(run.clock().now() + self.rules().deadline);
        }
        Ok(())
    }

    /// Who gets a seat by the manifest of this round.
    fn newcomers(&self) -> impl Iterator<Item = PeerId> {
        let applicants = self.roster().applicants(self.inbox.seated());
        applicants.into_iter().filter(|peer| self.greetings.get(peer).is_some_and(|is_valid| *is_valid))
    }

    /// Whether there is nothing more to wait for.
    fn is_complete(&self) -> bool {
        let min_peers = self.rules().min_peers as usize;
        if self.round() == Round::FIRST {
            return self.newcomers().count() >= min_peers;
        }
        let roster = self.roster();
        let is_done = |peer: &PeerId| !roster.awaits(*peer) || self.inbox.is_settled(*peer);
        self.inbox.num_good() >= min_peers && self.inbox.seated().iter().all(is_done)
    }

    /// Decides and writes the manifest, or follows the one that somebody else wrote meanwhile.
    async fn close(&mut self, outer: OuterSettings, is_due: bool) -> Result<Closed, CommsError> {
        let run = self.follower.run().clone();
        let late = match is_due {
            true => self.inbox.stragglers(&run.deliveries(&self.inbox).await?),
            false => BTreeSet::new(),
        };
        let included = self.inbox.included();
        let excluded = self.excluded(&included.keys().copied().collect(), &late);
        let manifest = Manifest::new(self.round(), self.follower.head(), outer, included, excluded)?;
        let object = manifest.seal(&self.identity, run.id()).to_bytes();
        let key = Key::Manifest(self.round());
        if !run.bucket().put_new(&key, object.clone()).await?.is_stored() {
            return self.adopt().await?.ok_or(CommsError::Taken { what: key.to_string() });
        }
        let manifest = self.follower.extend(&object)?;
        let deltas = self.begin_round_after(manifest.clone()).into_payloads();
        Ok(Closed { manifest, deltas })
    }

    fn excluded(&self, included: &BTreeSet<PeerId>, late: &BTreeSet<PeerId>) -> BTreeMap<PeerId, Exclusion> {
        let roster = self.roster();
        let seated = self.inbox.seated().iter().filter(|peer| !included.contains(peer));
        let verdict =
            |peer: &PeerId| self.inbox.exclusion(*peer).or_else(|| roster.silence(*peer, late.contains(peer)));
        let mut excluded: BTreeMap<_, _> = seated.filter_map(|peer| Some((*peer, verdict(peer)?))).collect();
        let newcomers = self.newcomers().map(|peer| (peer, Exclusion::Newcomer));
        let strangers = self.inbox.strangers().iter().map(|peer| (*peer, Exclusion::UnknownPeer));
        for (peer, reason) in newcomers.chain(strangers) {
            if included.len() + excluded.len() < MAX_PEERS {
                excluded.entry(peer).or_insert(reason);
            }
        }
        excluded
    }

    /// Goes along with a decision that is there already.
    async fn adopt(&mut self) -> Result<Option<Closed>, CommsError> {
        if self.adopted.is_none()
            && let Some(manifest) = self.follower.poll().await?
        {
            self.begin_round_after(manifest.clone());
            self.adopted = Some(manifest);
        }
        let Some(manifest) = self.adopted.clone() else { return Ok(None) };
        let deltas = self.follower.gather(&manifest).await?;
        self.adopted = None;
        Ok(Some(Closed { manifest, deltas }))
    }

    /// Turns to the next round and gives what had come in for the last.
    fn begin_round_after(&mut self, manifest: Manifest) -> Inbox {
        self.history.push_back(manifest);
        if self.history.len() > self.rules().patience as usize {
            self.history.pop_front();
        }
        self.begin_round()
    }

    fn begin_round(&mut self) -> Inbox {
        self.deadline = None;
        let seated = self.roster().seated();
        let inbox = Inbox::new(self.round(), self.follower.head(), seated, self.rules().max_included);
        std::mem::replace(&mut self.inbox, inbox)
    }
}

/// Whether a peer said hello, itself and to this run.
async fn greeting(run: &Run, peer: PeerId) -> Result<(PeerId, bool), CommsError> {
    Ok((peer, run.residence(peer).await?.is_some()))
}

/// The last `patience` manifests before where `follower` stands, the newest last, verified from there backwards.
async fn recent_history(follower: &Follower) -> Result<VecDeque<Manifest>, CommsError> {
    let run = follower.run();
    let mut history: VecDeque<Manifest> = follower.last().cloned().into_iter().collect();
    let (mut round, mut head) = (follower.next(), follower.head());
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
