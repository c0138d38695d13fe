//! What all entries of a ledger amount to: a pure fold, the same for everybody who reads the same entries.

use std::collections::BTreeMap;

use super::tally::Tally;
use super::validator_set_change::{Genesis, ValidatorSetChange};
use crate::ledger::entry::Entry;
use crate::ledger::ledger::NumberedEntry;
use crate::ledger::operation::{CheckpointDigest, Operation, Scores};
use crate::ledger::rejection::Rejection;
use crate::primitives::PeerId;

/// Whether a key takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It does.
    Active,
    /// It left, and may register again.
    Left {
        /// The number of the entry.
        at: u64,
    },
    /// Its peer goes on under another key; this one never comes back.
    Rotated {
        /// The number of the entry.
        at: u64,
        /// The key that took its place.
        to: PeerId,
    },
}

/// What a ledger knows of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The number of the entry by which the key came in, for the last time.
    pub since: u64,
    /// The key before it, if it came in by a rotation.
    pub formerly: Option<PeerId>,
    /// Where its peer keeps deltas, if not in the run's bucket.
    pub bucket: Option<String>,
    /// Whether it takes part.
    pub membership: Membership,
}

/// The ledger at one moment.
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
    /// A ledger without an entry.
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

    /// Takes in the next line; one that has no effect leaves everything but [`next`](Self::next) as it was.
    ///
    /// # Errors
    /// Why it has no effect.
    pub fn apply(&mut self, line: &NumberedEntry) -> Result<(), Rejection> {
        self.next = line.number.saturating_add(1);
        let entry = line.entry.as_ref().map_err(Clone::clone)?;
        self.permits(entry.author(), entry.operation())?;
        self.take_in(line.number, entry);
        Ok(())
    }

    /// Whether `author` could say `operation` now.
    ///
    /// # Errors
    /// Why it would have no effect.
    pub fn permits(&self, author: PeerId, operation: &Operation) -> Result<(), Rejection> {
        operation.check()?;
        match operation {
            Operation::Register { .. } => self.permits_register(author),
            Operation::Announce { .. } | Operation::Leave {} => self.permits_member(author),
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
            Some(Membership::Active) => Err(Rejection::AlreadyMember { peer }),
            Some(Membership::Rotated { .. }) => Err(Rejection::GivenUp { peer }),
        }
    }

    fn permits_member(&self, peer: PeerId) -> Result<(), Rejection> {
        match self.is_member(peer) {
            true => Ok(()),
            false => Err(Rejection::NotMember { peer }),
        }
    }

    fn permits_rotate(&self, from: PeerId, to: PeerId) -> Result<(), Rejection> {
        self.permits_member(from)?;
        if let Some(peer) =
            [from, to].into_iter().find(|peer| self.validator_set.members.contains(peer))
        {
            return Err(Rejection::ValidatorKey { peer });
        }
        match self.peers.contains_key(&to) {
            true => Err(Rejection::KeyInUse { peer: to }),
            false => Ok(()),
        }
    }

    fn permits_validator(&self, peer: PeerId) -> Result<(), Rejection> {
        match self.validator_set.members.contains(&peer) {
            true => Ok(()),
            false => Err(Rejection::NotValidator { peer }),
        }
    }

    fn permits_vote(
        &self,
        peer: PeerId,
        validator_set: &ValidatorSetChange,
    ) -> Result<(), Rejection> {
        self.permits_validator(peer)?;
        let expected = self.validator_set.generation.saturating_add(1);
        match validator_set.generation == expected {
            true => Ok(()),
            false => Err(Rejection::WrongGeneration { expected, got: validator_set.generation }),
        }
    }

    /// The effect of what is permitted.
    fn take_in(&mut self, number: u64, entry: &Entry) {
        let author = entry.author();
        match entry.operation() {
            Operation::Register { bucket } => {
                self.enter(author, number, None, bucket.clone());
            }
            Operation::Announce { bucket } => {
                if let Some(record) = self.peers.get_mut(&author) {
                    record.bucket.clone_from(bucket);
                }
            }
            Operation::Rotate { to } => {
                let bucket = self.retire(author, Membership::Rotated { at: number, to: *to });
                self.enter(*to, number, Some(author), bucket);
            }
            Operation::Leave {} => {
                self.retire(author, Membership::Left { at: number });
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

    fn enter(
        &mut self,
        peer: PeerId,
        since: u64,
        formerly: Option<PeerId>,
        bucket: Option<String>,
    ) {
        self.peers
            .insert(peer, KeyRecord { since, formerly, bucket, membership: Membership::Active });
    }

    /// Ends a membership and gives the bucket that was announced.
    fn retire(&mut self, peer: PeerId, membership: Membership) -> Option<String> {
        let record = self.peers.get_mut(&peer)?;
        record.membership = membership;
        record.bucket.clone()
    }

    /// A validator's last vote counts; enough equal ones make new validators.
    fn vote(&mut self, validator: PeerId, validator_set: &ValidatorSetChange) {
        self.votes.insert(validator, validator_set.clone());
        let agreeing = self.votes.values().filter(|vote| *vote == validator_set).count();
        if agreeing >= self.validator_set.threshold as usize {
            self.validator_set = validator_set.clone();
            self.votes.clear();
        }
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether this key takes part.
    pub fn is_member(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|record| record.membership == Membership::Active)
    }

    /// Every key that ever took part.
    pub fn peers(&self) -> &BTreeMap<PeerId, KeyRecord> {
        &self.peers
    }

    /// The keys that take part.
    pub fn members(&self) -> impl Iterator<Item = (PeerId, &KeyRecord)> {
        let active = |record: &KeyRecord| record.membership == Membership::Active;
        self.peers
            .iter()
            .filter(move |(_, record)| active(record))
            .map(|(peer, record)| (*peer, record))
    }

    /// The key under which the peer of this key goes on now: itself, unless it rotated.
    pub fn current_key(&self, peer: PeerId) -> PeerId {
        let mut key = peer;
        // Every step leads to a key that came in later, so this ends.
        while let Some(Membership::Rotated { to, .. }) =
            self.peers.get(&key).map(|record| record.membership)
        {
            key = to;
        }
        key
    }

    /// Who validates.
    pub fn validator_set(&self) -> &ValidatorSetChange {
        &self.validator_set
    }

    /// Which other validators the validators want.
    pub fn votes(&self) -> &BTreeMap<PeerId, ValidatorSetChange> {
        &self.votes
    }

    /// Verdicts by round.
    pub fn scores(&self) -> &Tally<Scores> {
        &self.scores
    }

    /// Digests of weights by round.
    pub fn checkpoints(&self) -> &Tally<CheckpointDigest> {
        &self.checkpoints
    }
}
