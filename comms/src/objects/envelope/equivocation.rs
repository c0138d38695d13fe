//! Detection of equivocation: one peer, two payloads for the same round and kind.

use std::collections::BTreeMap;

use super::error::EnvelopeError;
use super::header::{Header, Kind};
use crate::primitives::{Digest, PeerId, Round};

/// The result of admitting an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The first envelope for its round and kind.
    First,
    /// The same envelope again: a retry after a first try that had succeeded.
    Again,
}

/// The first payload digest of each peer, round and kind.
///
/// Runs and rounds are separated by the envelope itself. This memory detects a peer that shows
/// different payloads to different readers, or at different times.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    payloads: BTreeMap<(Round, PeerId, Kind), Digest>,
}

impl Seen {
    /// Records an opened envelope.
    ///
    /// # Errors
    /// [`EnvelopeError::Replayed`] if its author sent another payload for the same round and kind
    /// before.
    pub fn admit(&mut self, header: &Header) -> Result<Admission, EnvelopeError> {
        let Header { subject, peer, payload_digest: second, .. } = *header;
        match self.payloads.insert((subject.round, peer, subject.kind), second) {
            None => Ok(Admission::First),
            Some(first) if first == second => Ok(Admission::Again),
            Some(first) => {
                // The first payload stays: later ones are compared with it.
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

    /// Forgets the rounds before `round`, for which no objects are accepted any more.
    pub fn forget_before(&mut self, round: Round) {
        self.payloads.retain(|(seen, ..), _| *seen >= round);
    }
}
