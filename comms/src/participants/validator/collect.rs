//! The first two stages of a round: collecting heartbeats and commitments, then revealed deltas.

use std::collections::BTreeSet;

use futures_util::stream::{StreamExt, TryStreamExt, iter};

use super::round_state::RoundStage;
use super::validator::Validator;
use crate::agreement::commitments::{CommitmentList, ListedCommitment};
use crate::agreement::draw::RoundSecret;
use crate::objects::envelope::{Envelope, Kind, Subject};
use crate::objects::{Key, MAX_PEERS, Prefix};
use crate::primitives::{PeerId, Timestamp};
use crate::run::{CONCURRENCY, CommsError, Fetched, Run};

/// The most peers without a slot that a verdict names. It bounds the size of a verdict: anyone can
/// write commitments.
const MAX_UNKNOWN_PEERS: usize = 1024;

impl Validator {
    /// Polls heartbeats and commitments, and publishes this validator's commitment list when
    /// commitments are complete or due.
    pub(super) async fn collect(&mut self) -> Result<bool, CommsError> {
        // Taken before the first listing: an object that is listed below existed after this instant
        // at the latest.
        let now = self.run().clock().now();
        let is_due = self.state.deadline.is_some_and(|deadline| now >= deadline);
        self.poll_peers().await?;
        if self.is_first_round() {
            let is_complete = self.joining().len() >= self.rules().min_peers as usize;
            return Ok(is_complete && self.enter_stage(RoundStage::Judging { since: now }));
        }
        self.poll_commitments().await?;
        self.start_deadline();
        let run = self.run().clone();
        let (round, base) = (self.state.round, self.state.base);
        // After the commitments: a commitment that is listed above was written before enough lists
        // existed.
        run.poll_commitment_lists(round, base, &mut self.state.commitment_lists).await?;
        let validator_set = &run.description().validator_set;
        if !self.state.commitment_lists.are_enough(validator_set)
            && (is_due || self.are_all_committed())
        {
            self.publish_commitment_list().await?;
        }
        let until = run.clock().now() + self.rules().reveal;
        Ok(self.state.commitment_lists.are_enough(validator_set)
            && self.enter_stage(RoundStage::Revealing { until }))
    }

    pub(super) fn enter_stage(&mut self, stage: RoundStage) -> bool {
        let (listed, revealed) = (self.state.listed.len(), self.state.revealed.len());
        tracing::info!(round = self.state.round.0, ?stage, listed, revealed, "entering stage");
        self.state.stage = stage;
        true
    }

    async fn poll_peers(&mut self) -> Result<(), CommsError> {
        let run = self.run().clone();
        self.attendance.absorb(&run.bucket().list(&Prefix::Peers, None).await?);
        let applicants = self.active_set().applicants(&self.state.active());
        let unheard = applicants.iter().filter(|peer| !self.join_requests.contains_key(peer));
        let join_requests: Vec<_> = unheard.map(|peer| join_request(&run, *peer)).collect();
        let join_requests: Vec<_> = iter(join_requests).buffered(CONCURRENCY).try_collect().await?;
        self.join_requests.extend(join_requests);
        Ok(())
    }

    async fn poll_commitments(&mut self) -> Result<(), CommsError> {
        let run = self.run().clone();
        let (round, base) = (self.state.round, self.state.base);
        let listing = run.bucket().list(&Prefix::Commitments(round), None).await?;
        // The number of the poll orders commitments: of two copies, the earlier one is the
        // original.
        self.state.poll += 1;
        let mut unknown = Vec::new();
        for peer in listing.iter().filter_map(|listed| listed.key.owner()) {
            if !self.state.slots.contains_key(&peer) {
                if self.state.unknown.len() < MAX_UNKNOWN_PEERS {
                    self.state.unknown.insert(peer);
                }
            } else if !self.state.listed.contains_key(&peer) && self.state.listed.len() < MAX_PEERS
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
            if let Some(commitment) = Fetched::from(arrival).into_option()? {
                self.state
                    .listed
                    .insert(peer, ListedCommitment { poll: self.state.poll, commitment });
            }
        }
        Ok(())
    }

    /// Starts the commit deadline with the first heartbeat or commitment of the round.
    fn start_deadline(&mut self) {
        let is_played =
            self.active_set().has_started(&self.state.active()) || !self.state.listed.is_empty();
        if self.state.deadline.is_none() && (is_played || !self.joining().is_empty()) {
            self.state.deadline = Some(self.run().clock().now() + self.rules().deadline);
        }
    }

    /// Returns true if every expected peer has committed.
    fn are_all_committed(&self) -> bool {
        let active_set = self.active_set();
        let listed = &self.state.listed;
        listed.len() >= self.rules().min_peers as usize
            && self
                .state
                .slots
                .keys()
                .all(|peer: &PeerId| !active_set.expects(*peer) || listed.contains_key(peer))
    }

    /// Publishes the list of commitments. A list from before a restart remains.
    async fn publish_commitment_list(&mut self) -> Result<(), CommsError> {
        let run = self.run().clone();
        let (round, base) = (self.state.round, self.state.base);
        let pledge = RoundSecret::of(&self.identity, run.id(), round, base).pledge();
        let commitment_list = CommitmentList { pledge, entries: self.state.listed.clone() };
        let subject = Subject { run: run.id(), round, kind: Kind::CommitmentList, base };
        let object = Envelope::seal(&self.identity, subject, commitment_list.to_bytes()).to_bytes();
        let key = Key::CommitmentList(round, self.me());
        // The key holds this list or an earlier one of ours; the next poll reads it.
        let _ = run.bucket().put_new(&key, object).await?;
        run.poll_commitment_lists(round, base, &mut self.state.commitment_lists).await
    }

    /// Polls the revealed deltas until every committed peer has revealed, or until `until`.
    pub(super) async fn collect_deltas(&mut self, until: Timestamp) -> Result<bool, CommsError> {
        let run = self.run().clone();
        let is_due = run.clock().now() >= until;
        run.poll_commitment_lists(
            self.state.round,
            self.state.base,
            &mut self.state.commitment_lists,
        )
        .await?;
        let timely = self.state.commitment_lists.timely(&run.description().validator_set);
        let active = timely.keys().filter(|peer| self.state.slots.contains_key(peer));
        let missing: BTreeSet<PeerId> =
            active.filter(|peer| !self.state.revealed.contains(peer)).copied().collect();
        let found = run.deliveries(self.state.round, &missing).await?;
        self.state.revealed.extend(found.iter().filter_map(|listed| listed.key.owner()));
        let are_all_there = missing.iter().all(|peer| self.state.revealed.contains(peer));
        Ok((is_due || are_all_there)
            && self.enter_stage(RoundStage::Judging { since: run.clock().now() }))
    }
}

/// Returns true if `peer` published a valid join request for this run.
async fn join_request(run: &Run, peer: PeerId) -> Result<(PeerId, bool), CommsError> {
    Ok((peer, run.delta_location(peer).await?.is_some()))
}
