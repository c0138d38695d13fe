//! The first two stages of a round: who is there, who committed, who revealed.

use std::collections::BTreeSet;

use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::round_state::RoundStage;
use super::validator::Validator;
use crate::agreement::commitments::{CommitmentList, ListedCommitment};
use crate::agreement::draw::RoundSecret;
use crate::objects::envelope::{Envelope, Kind, Subject};
use crate::objects::{Key, MAX_PEERS, Prefix};
use crate::primitives::{PeerId, Timestamp};
use crate::run::{CONCURRENCY, CommsError, Run, readable};

/// Peers without a seat that a verdict names at most.
const MAX_STRANGERS: usize = 1024;

impl Validator {
    /// Looks who is there and who has committed, and calls the roll when it is time.
    pub(super) async fn gather(&mut self) -> Result<bool, CommsError> {
        // Everything that is listed from here on was there before the look began.
        let now = self.run().clock().now();
        let is_due = self.session.deadline.is_some_and(|deadline| now >= deadline);
        self.look_for_signs().await?;
        if self.is_enlistment() {
            let is_complete = self.joining().len() >= self.rules().min_peers as usize;
            return Ok(is_complete && self.turn_to(RoundStage::Judging { since: now }));
        }
        self.look_for_commitments().await?;
        self.note_deadline();
        let run = self.run().clone();
        let (round, base) = (self.session.round, self.session.base);
        // After the commitments: what is listed above was committed before enough rolls were called.
        run.poll_commitment_lists(round, base, &mut self.session.commitment_lists).await?;
        let validator_set = &run.description().validator_set;
        if !self.session.commitment_lists.are_enough(validator_set)
            && (is_due || self.have_all_committed())
        {
            self.publish_commitment_list().await?;
        }
        let until = run.clock().now() + self.rules().reveal;
        Ok(self.session.commitment_lists.are_enough(validator_set)
            && self.turn_to(RoundStage::Revealing { until }))
    }

    pub(super) fn turn_to(&mut self, stage: RoundStage) -> bool {
        self.session.stage = stage;
        true
    }

    async fn look_for_signs(&mut self) -> Result<(), CommsError> {
        let run = self.run().clone();
        self.attendance.absorb(&run.bucket().list(&Prefix::Peers, None).await?);
        let applicants = self.roster().applicants(&self.session.active());
        let unheard = applicants.iter().filter(|peer| !self.join_requests.contains_key(peer));
        let join_requests: Vec<_> = unheard.map(|peer| join_request(&run, *peer)).collect();
        let join_requests: Vec<_> = iter(join_requests).buffered(CONCURRENCY).try_collect().await?;
        self.join_requests.extend(join_requests);
        Ok(())
    }

    async fn look_for_commitments(&mut self) -> Result<(), CommsError> {
        let run = self.run().clone();
        let (round, base) = (self.session.round, self.session.base);
        let listing = run.bucket().list(&Prefix::Commitments(round), None).await?;
        self.session.look += 1;
        let mut unknown = Vec::new();
        for peer in listing.iter().filter_map(|listed| listed.key.owner()) {
            if !self.session.slots.contains_key(&peer) {
                if self.session.unknown.len() < MAX_STRANGERS {
                    self.session.unknown.insert(peer);
                }
            } else if !self.session.called.contains_key(&peer)
                && self.session.called.len() < MAX_PEERS
            {
                unknown.push(peer);
            }
        }
        let fetches: Vec<_> = unknown
            .into_iter()
            .map(|peer| {
                let run = &run;
                async move { (peer, run.commitment(round, base, peer).await) }
            })
            .collect();
        let arrivals: Vec<_> = iter(fetches).buffered(CONCURRENCY).collect().await;
        for (peer, arrival) in arrivals {
            if let Some(commitment) = readable(arrival)? {
                self.session
                    .called
                    .insert(peer, ListedCommitment { look: self.session.look, commitment });
            }
        }
        Ok(())
    }

    /// The time of a round runs from the first who is seen in it.
    fn note_deadline(&mut self) {
        let is_played =
            self.roster().is_played(&self.session.active()) || !self.session.called.is_empty();
        if self.session.deadline.is_none() && (is_played || !self.joining().is_empty()) {
            self.session.deadline = Some(self.run().clock().now() + self.rules().deadline);
        }
    }

    /// Whether there is nobody more to wait for.
    fn have_all_committed(&self) -> bool {
        let roster = self.roster();
        let called = &self.session.called;
        let is_done = |peer: &PeerId| !roster.awaits(*peer) || called.contains_key(peer);
        called.len() >= self.rules().min_peers as usize && self.session.slots.keys().all(is_done)
    }

    /// Writes down who committed; what an earlier life wrote stays.
    async fn publish_commitment_list(&mut self) -> Result<(), CommsError> {
        let run = self.run().clone();
        let (round, base) = (self.session.round, self.session.base);
        let pledge = RoundSecret::of(&self.identity, run.id(), round, base).pledge();
        let commitment_list = CommitmentList { pledge, entries: self.session.called.clone() };
        let subject = Subject { run: run.id(), round, kind: Kind::CommitmentList, base };
        let object = Envelope::seal(&self.identity, subject, commitment_list.to_bytes()).to_bytes();
        let key = Key::CommitmentList(round, self.me());
        // Ours or that of an earlier life: the next look finds what is there.
        let _ = run.bucket().put_new(&key, object).await?;
        run.poll_commitment_lists(round, base, &mut self.session.commitment_lists).await
    }

    /// Waits until everybody who committed has revealed, or the time for it is over.
    pub(super) async fn await_deltas(&mut self, until: Timestamp) -> Result<bool, CommsError> {
        let run = self.run().clone();
        let is_due = run.clock().now() >= until;
        run.poll_commitment_lists(
            self.session.round,
            self.session.base,
            &mut self.session.commitment_lists,
        )
        .await?;
        let timely = self.session.commitment_lists.timely(&run.description().validator_set);
        let active = timely.keys().filter(|peer| self.session.slots.contains_key(peer));
        let missing: BTreeSet<PeerId> =
            active.filter(|peer| !self.session.revealed.contains(peer)).copied().collect();
        let found = run.deliveries(self.session.round, &missing).await?;
        self.session.revealed.extend(found.iter().filter_map(|listed| listed.key.owner()));
        let are_all_there = missing.iter().all(|peer| self.session.revealed.contains(peer));
        Ok((is_due || are_all_there)
            && self.turn_to(RoundStage::Judging { since: run.clock().now() }))
    }
}

/// Whether a peer said hello, itself and to this run.
async fn join_request(run: &Run, peer: PeerId) -> Result<(PeerId, bool), CommsError> {
    Ok((peer, run.delta_location(peer).await?.is_some()))
}
