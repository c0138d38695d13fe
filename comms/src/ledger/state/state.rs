//! The state of a ledger: a pure fold over its entries, equal for all readers.

use std::collections::BTreeMap;

use super::tally::Tally;
use super::validator_set_change::{Genesis, ValidatorSetChange};
use crate::ledger::entry::Entry;
use crate::ledger::ledger::NumberedEntry;
use crate::ledger::operation::{CheckpointDigest, Operation, Scores};
use crate::ledger::rejection::Rejection;
use crate::primitives::PeerId;

/// The registration of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Registered.
    Active,
    /// The peer left. The key may register again.
    Left {
        /// The number of the entry.
        at: u64,
    },
    /// The peer uses another key now. This one can never register again.
    Rotated {
        /// The number of the entry.
        at: u64,
        /// The new key.
        to: PeerId,
    },
}

/// The record of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The number of the entry that registered the key last.
    pub since: u64,
    /// The key that this one replaced, if it came from a rotation.
    pub rotated_from: Option<PeerId>,
    /// The bucket of its deltas; the run's bucket if absent.
    pub bucket: Option<String>,
    /// The registration.
    pub membership: Membership,
}

/// The state after a prefix of the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerState {
    next: u64,
    peers: BTreeMap<PeerId, KeyRecord>,
    validator_set: ValidatorSetChange,
    votes: BTreeMap<PeerId, ValidatorSetChange>,
    scores: Tally<Scores>,
    checkpoints: Tally<CheckpointDigest>,
}

impl LedgerState {
    /// The state before the first entry.
    pub fn genesis(genesis: &Genesis) -> Self {
        Self {
            next: 0,
            peers: BTreeMap::new(),
            validator_set: genesis.validator_set.clone(),
            votes: BTreeMap::new(),
            scores: Tally::default(),
            checkpoints: Tally::default(),
        }
    }

    /// Applies the next entry. An entry without effect changes only [`next`](Self::next).
    ///
    /// # Errors
    /// The reason why the entry has no effect.
    pub fn apply(&mut self, numbered: &NumberedEntry) -> Result<(), Rejection> {
        // Before any check: an invalid entry also takes its number.
        self.next = numbered.number.saturating_add(1);
        let entry = numbered.entry.as_ref().map_err(Clone::clone)?;
        self.permits(entry.author(), entry.operation())?;
        self.perform(numbered.number, entry);
        Ok(())
    }

    /// Checks that `operation` of `author` would take effect now.
    ///
    /// # Errors
    /// The reason why it would have no effect.
    pub fn permits(&self, author: PeerId, operation: &Operation) -> Result<(), Rejection> {
        operation.check()?;
        match operation {
            Operation::Register { .. } => self.permits_register(author),
            Operation::Announce { .. } | Operation::Leave {} => self.permits_registered(author),
            Operation::Rotate { to } => self.permits_rotate(author, *to),
            Operation::Scores(scores) => {
                self.permits_validator(author)?;
                self.scores.permits(scores.round, author)
            }
            Operation::Checkpoint(checkpoint) => {
                self.permits_validator(author)?;
                self.checkpoints.permits(checkpoint.round, author)
            }
            Operation::Validators(validator_set) => self.permits_vote(author, validator_set),
        }
    }

    fn permits_register(&self, peer: PeerId) -> Result<(), Rejection> {
        match self.peers.get(&peer).map(|record| record.membership) {
            None | Some(Membership::Left { .. }) => Ok(()),
            Some(Membership::Active) => Err(Rejection::AlreadyRegistered { peer }),
            // The owner may have rotated because the secret leaked, so the old key stays invalid.
            Some(Membership::Rotated { .. }) => Err(Rejection::RotatedAway { peer }),
        }
    }

    fn permits_registered(&self, peer: PeerId) -> Result<(), Rejection> {
        if self.is_registered(peer) { Ok(()) } else { Err(Rejection::NotRegistered { peer }) }
    }

    fn permits_rotate(&self, from: PeerId, to: PeerId) -> Result<(), Rejection> {
        self.permits_registered(from)?;
        // A validator set is counted by keys; a rotation would move a vote without a vote.
        if let Some(peer) =
            [from, to].into_iter().find(|peer| self.validator_set.members.contains(peer))
        {
            return Err(Rejection::ValidatorKey { peer });
        }
        // Only a fresh key: chains of rotations then have no cycles and no merges.
        if self.peers.contains_key(&to) {
            return Err(Rejection::KeyInUse { peer: to });
        }
        Ok(())
    }

    fn permits_validator(&self, peer: PeerId) -> Result<(), Rejection> {
        if self.validator_set.members.contains(&peer) {
            Ok(())
        } else {
            Err(Rejection::NotValidator { peer })
        }
    }

    fn permits_vote(
        &self,
        peer: PeerId,
        validator_set: &ValidatorSetChange,
    ) -> Result<(), Rejection> {
        self.permits_validator(peer)?;
        // A late vote for a set that was already replaced must not count towards the next one.
        let (expected, got) =
            (self.validator_set.generation.saturating_add(1), validator_set.generation);
        if got == expected { Ok(()) } else { Err(Rejection::WrongGeneration { expected, got }) }
    }

    /// Performs a permitted operation.
    fn perform(&mut self, number: u64, entry: &Entry) {
        let author = entry.author();
        match entry.operation() {
            Operation::Register { bucket } => {
                self.register(author, number, None, bucket.clone());
            }
            Operation::Announce { bucket } => {
                if let Some(record) = self.peers.get_mut(&author) {
                    record.bucket.clone_from(bucket);
                }
            }
            Operation::Rotate { to } => {
                let bucket = self.end(author, Membership::Rotated { at: number, to: *to });
                self.register(*to, number, Some(author), bucket);
            }
            Operation::Leave {} => {
                self.end(author, Membership::Left { at: number });
            }
            Operation::Scores(scores) => {
                self.scores.add(scores.round, author, *scores, &self.validator_set)
            }
            Operation::Checkpoint(checkpoint) => {
                self.checkpoints.add(checkpoint.round, author, *checkpoint, &self.validator_set);
            }
            Operation::Validators(validator_set) => self.vote(author, validator_set),
        }
    }

    fn register(
        &mut self,
        peer: PeerId,
        since: u64,
        rotated_from: Option<PeerId>,
        bucket: Option<String>,
    ) {
        let record = KeyRecord { since, rotated_from, bucket, membership: Membership::Active };
        self.peers.insert(peer, record);
    }

    /// Ends a registration; returns the bucket that was announced.
    fn end(&mut self, peer: PeerId, membership: Membership) -> Option<String> {
        let record = self.peers.get_mut(&peer)?;
        record.membership = membership;
        record.bucket.clone()
    }

    /// Records a vote. The last vote of a validator counts; a threshold of equal votes replaces the
    /// validator set.
    fn vote(&mut self, validator: PeerId, validator_set: &ValidatorSetChange) {
        self.votes.insert(validator, validator_set.clone());
        let num_equal = self.votes.values().filter(|vote| *vote == validator_set).count();
        if num_equal >= self.validator_set.threshold as usize {
            self.validator_set = validator_set.clone();
            // Former validators must not have a vote in the new set.
            self.votes.clear();
        }
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Returns true if the key is registered.
    pub fn is_registered(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|record| record.membership == Membership::Active)
    }

    /// All keys that were ever registered.
    pub fn peers(&self) -> &BTreeMap<PeerId, KeyRecord> {
        &self.peers
    }

    /// The registered keys.
    pub fn registered(&self) -> impl Iterator<Item = (PeerId, &KeyRecord)> {
        self.peers
            .iter()
            .filter(|(_, record)| record.membership == Membership::Active)
            .map(|(peer, record)| (*peer, record))
    }

    /// The current key of the peer that once used `peer`; the same key if it did not rotate.
    pub fn current_key(&self, peer: PeerId) -> PeerId {
        let mut key = peer;
        // Terminates: each rotation leads to a key that was registered later.
        while let Some(Membership::Rotated { to, .. }) =
            self.peers.get(&key).map(|record| record.membership)
        {
            key = to;
        }
        key
    }

    /// The current validator set.
    pub fn validator_set(&self) -> &ValidatorSetChange {
        &self.validator_set
    }

    /// The votes for the next validator set, by validator.
    pub fn votes(&self) -> &BTreeMap<PeerId, ValidatorSetChange> {
        &self.votes
    }

    /// The digests of verdicts by round.
    pub fn scores(&self) -> &Tally<Scores> {
        &self.scores
    }

    /// The digests of weights by round.
    pub fn checkpoints(&self) -> &Tally<CheckpointDigest> {
        &self.checkpoints
    }
}
