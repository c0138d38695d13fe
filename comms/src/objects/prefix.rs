//! The parts of a bucket that can be listed.

use std::fmt;

use super::key::Key;
use crate::primitives::{Digest, PeerId, Round};

/// A part of the bucket that can be listed. Each ends at a `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// The run's description and parts.
    Run,
    /// All entries of the ledger.
    Ledger,
    /// All objects of all rounds.
    Rounds,
    /// The commitments of one round.
    Commitments(Round),
    /// The deltas of one round.
    Deltas(Round),
    /// The commitment lists of one round.
    CommitmentLists(Round),
    /// The verdicts of one round.
    Verdicts(Round),
    /// The votes of one round.
    Votes(Round),
    /// All checkpoints.
    Checkpoints,
    /// One checkpoint.
    Checkpoint(Round),
    /// All objects about peers.
    Peers,
    /// All objects about one peer.
    Peer(PeerId),
    /// All test objects.
    Probes,
}

impl Prefix {
    /// Returns true if `key` is in this part.
    pub fn contains(&self, key: &Key) -> bool {
        match (*self, *key) {
            (Self::Run, Key::RunDescription | Key::RunPart(_)) => true,
            (Self::Ledger, Key::LedgerEntry(_)) => true,
            (Self::Rounds, Key::Commitment(..) | Key::Delta(..) | Key::Manifest(_)) => true,
            (Self::Rounds, Key::CommitmentList(..) | Key::Verdict(..) | Key::Vote(..)) => true,
            (Self::Commitments(round), Key::Commitment(of, _)) => round == of,
            (Self::Deltas(round), Key::Delta(of, _)) => round == of,
            (Self::CommitmentLists(round), Key::CommitmentList(of, _)) => round == of,
            (Self::Verdicts(round), Key::Verdict(of, _)) => round == of,
            (Self::Votes(round), Key::Vote(of, ..)) => round == of,
            (Self::Checkpoints, Key::CheckpointDescription(_) | Key::CheckpointPart(..)) => true,
            (
                Self::Checkpoint(round),
                Key::CheckpointDescription(of) | Key::CheckpointPart(of, _),
            ) => round == of,
            (Self::Peers, Key::JoinRequest(_) | Key::Heartbeat(..) | Key::LeaveNotice(..)) => true,
            (
                Self::Peer(peer),
                Key::JoinRequest(of) | Key::Heartbeat(of, _) | Key::LeaveNotice(of, _),
            ) => peer == of,
            (Self::Probes, Key::Probe(_)) => true,
            _ => false,
        }
    }

    /// The first key that can be in this part.
    pub(crate) fn first_key(&self) -> Key {
        let nobody = PeerId::from_bytes(*Key::NOBODY);
        let nothing = Digest::from_bytes(*Key::NOBODY);
        match *self {
            Self::Run => Key::RunDescription,
            Self::Ledger => Key::LedgerEntry(0),
            Self::Rounds => Key::Commitment(Round::FIRST, nobody),
            Self::Commitments(round) => Key::Commitment(round, nobody),
            Self::Deltas(round) => Key::Delta(round, nobody),
            Self::CommitmentLists(round) => Key::CommitmentList(round, nobody),
            Self::Verdicts(round) => Key::Verdict(round, nobody),
            Self::Votes(round) => Key::Vote(round, nobody, nobody),
            Self::Checkpoints => Key::CheckpointDescription(Round::FIRST),
            Self::Checkpoint(round) => Key::CheckpointDescription(round),
            Self::Peers => Key::LeaveNotice(nobody, Round::FIRST),
            Self::Peer(peer) => Key::LeaveNotice(peer, Round::FIRST),
            Self::Probes => Key::Probe(nothing),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => formatter.write_str("run"),
            Self::Ledger => formatter.write_str("ledger"),
            Self::Rounds => formatter.write_str("rounds"),
            Self::Commitments(round) => write!(formatter, "rounds/{:010}/commitments", round.0),
            Self::Deltas(round) => write!(formatter, "rounds/{:010}/deltas", round.0),
            Self::CommitmentLists(round) => write!(formatter, "rounds/{:010}/rolls", round.0),
            Self::Verdicts(round) => write!(formatter, "rounds/{:010}/verdicts", round.0),
            Self::Votes(round) => write!(formatter, "rounds/{:010}/votes", round.0),
            Self::Checkpoints => formatter.write_str("checkpoints"),
            Self::Checkpoint(round) => write!(formatter, "checkpoints/{:010}", round.0),
            Self::Peers => formatter.write_str("peers"),
            Self::Peer(peer) => write!(formatter, "peers/{peer}"),
            Self::Probes => formatter.write_str("probe"),
        }
    }
}
