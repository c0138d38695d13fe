//! The trace of a simulation, one line per event.

use std::fmt;

use crate::objects::Lineage;
use crate::primitives::{Round, Timestamp};

/// A simulated validator or peer, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// A validator.
    Validator(u32),
    /// A peer.
    Peer(u32),
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text also names the random stream of the actor: another text changes every
        // simulation.
        match self {
            Self::Validator(number) => write!(formatter, "validator {number}"),
            Self::Peer(number) => write!(formatter, "peer {number}"),
        }
    }
}

/// An event of one actor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Started,
    Crashed {
        /// True if the saved state is lost too.
        loses_disk: bool,
    },
    /// Restarted after this error.
    Restarted(String),
    Committed(Round),
    /// A commitment of the same peer to another delta, from before a crash, is binding.
    CommittedBefore(Round),
    Delivered(Round),
    Applied(Round, usize, Lineage),
    Closed(Round, usize, usize),
    Checkpointed(Round),
    Finished,
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => formatter.write_str("starts"),
            Self::Crashed { loses_disk: false } => formatter.write_str("crashes"),
            Self::Crashed { loses_disk: true } => formatter.write_str("crashes and loses its disk"),
            Self::Restarted(error) => write!(formatter, "restarts after: {error}"),
            Self::Committed(round) => write!(formatter, "commits to a delta for {round}"),
            Self::CommittedBefore(round) => {
                write!(formatter, "has committed to another delta for {round} before a crash")
            }
            Self::Delivered(round) => write!(formatter, "delivers its delta for {round}"),
            Self::Applied(round, deltas, lineage) => {
                write!(formatter, "applies {deltas} deltas of {round}, lineage {lineage}")
            }
            Self::Closed(round, included, excluded) => {
                write!(formatter, "closes {round}: {included} included, {excluded} excluded")
            }
            Self::Checkpointed(round) => write!(formatter, "publishes a checkpoint of {round}"),
            Self::Finished => formatter.write_str("finishes"),
        }
    }
}

/// All events of a simulation, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    start: Timestamp,
    events: Vec<(Timestamp, Actor, Event)>,
}

impl Trace {
    pub(crate) fn starting_at(start: Timestamp) -> Self {
        Self { start, events: Vec::new() }
    }

    pub(crate) fn push(&mut self, now: Timestamp, actor: Actor, event: Event) {
        self.events.push((now, actor, event));
    }

    /// The number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns true if there are no events.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(crate) fn count(&self, is_counted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, _, event)| is_counted(event)).count()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (now, actor, event) in &self.events {
            // Microseconds: the resolution of a timestamp, so equal times are equal in print.
            writeln!(formatter, "{:14.6} {actor} {event}", now.since(self.start).as_secs_f64())?;
        }
        Ok(())
    }
}
