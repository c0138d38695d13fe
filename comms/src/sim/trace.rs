//! What happened, one line per event.

use std::fmt;

use crate::objects::Lineage;
use crate::primitives::{Round, Timestamp};

/// Somebody in a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// One that closes rounds.
    Validator(u32),
    /// One that trains.
    Peer(u32),
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator(number) => write!(formatter, "validator {number}"),
            Self::Peer(number) => write!(formatter, "peer {number}"),
        }
    }
}

/// Something that an actor did or suffered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Started,
    /// Whether what was saved is lost as well.
    Crashed(bool),
    Stumbled(String),
    Committed(Round),
    /// An earlier life had committed to something else, which is forgotten.
    Forgot(Round),
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
            Self::Crashed(false) => formatter.write_str("crashes"),
            Self::Crashed(true) => formatter.write_str("crashes and loses its disk"),
            Self::Stumbled(error) => write!(formatter, "starts again: {error}"),
            Self::Committed(round) => write!(formatter, "commits to {round}"),
            Self::Forgot(round) => {
                write!(formatter, "has forgotten what it committed to in {round}")
            }
            Self::Delivered(round) => write!(formatter, "delivers to {round}"),
            Self::Applied(round, deltas, lineage) => {
                write!(formatter, "applies {deltas} of {round}, lineage {lineage}")
            }
            Self::Closed(round, included, excluded) => {
                write!(formatter, "closes {round}: {included} in, {excluded} out")
            }
            Self::Checkpointed(round) => write!(formatter, "stores a checkpoint of {round}"),
            Self::Finished => formatter.write_str("is done"),
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

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(crate) fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, _, event)| which(event)).count()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (now, actor, event) in &self.events {
            writeln!(formatter, "{:14.6} {actor} {event}", now.since(self.start).as_secs_f64())?;
        }
        Ok(())
    }
}
