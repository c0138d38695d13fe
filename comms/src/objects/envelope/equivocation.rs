//! The memory that notices when a peer says two things under one name.

use std::collections::BTreeMap;

use super::envelope::{Header, Kind};
use super::error::EnvelopeError;
use crate::primitives::{Digest, PeerId, Round};

/// Whether an envelope was news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The first of its name.
    First,
    /// The same again, which is harmless: a retry whose first try had arrived.
    Again,
}

/// What each peer has said of each round so far: one digest per (round, peer, kind).
///
/// Runs and rounds keep envelopes apart by themselves; this keeps a peer from showing different payloads to different
/// readers, or to the same reader at different times.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    payloads: BTreeMap<(Round, PeerId, Kind), Digest>,
}

impl Seen {
    /// Remembers an opened envelope.
    ///
    /// # Errors
    /// [`EnvelopeError::Replayed`] if its peer sent another payload for the same round and kind before.
    pub fn admit(&mut self, header: &Header) -> Result<Admission, EnvelopeError> {
        let Header { subject, peer, payload_digest: second, .. } = *header;
        match self.payloads.insert((subject.round, peer, subject.kind), second) {
            None => Ok(Admission::First),
            Some(first) if first == second => Ok(Admission::Again),
            Some(first) => {
                // The first word stays: later ones are held to it.
                self.payloads.insert((subject.round, peer, subject.kind), first);
                Err(EnvelopeError::Replayed {
                    peer,
                    round: subject.round,
                    kind: subject.kind,
                    first,
                    second,
                })
            }
        }
    }

    /// Forgets the rounds before `round`, which can no longer be contributed to.
    pub fn forget_before(&mut self, round: Round) {
        self.payloads.retain(|(seen, ..), _| *seen >= round);
    }
}
