//! What became of the last few of a peer's tries.

use std::fmt;
use std::str::FromStr;

use crate::primitives::hex;

/// Up to eight outcomes, written oldest first: `+` for what went well, `-` for what did not.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct OutcomeWindow {
    /// One bit for each outcome, the newest lowest; set if it did not go well.
    failures: u8,
    length: u8,
}

/// A text that is not up to eight of `+` and `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not up to eight of + and -")]
pub struct NotOutcomes;

impl OutcomeWindow {
    /// Outcomes that are remembered at most.
    pub const LENGTH: u32 = u8::BITS;

    /// Adds an outcome and forgets the oldest, if need be.
    pub fn push(&mut self, went_well: bool) {
        self.failures = self.failures << 1 | u8::from(!went_well);
        self.length = (self.length + 1).min(Self::LENGTH as u8);
    }

    /// How many did not go well.
    pub fn failures(&self) -> u32 {
        self.failures.count_ones()
    }

    /// How many of the newest did not go well, one after the other.
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures.trailing_ones()
    }
}

impl fmt::Display for OutcomeWindow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut outcomes = (0..self.length).rev().map(|place| self.failures >> place & 1);
        outcomes.try_for_each(|failure| formatter.write_str(if failure == 1 { "-" } else { "+" }))
    }
}

impl fmt::Debug for OutcomeWindow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for OutcomeWindow {
    type Err = NotOutcomes;

    fn from_str(text: &str) -> Result<Self, NotOutcomes> {
        if text.len() > Self::LENGTH as usize
            || !text.bytes().all(|outcome| matches!(outcome, b'+' | b'-'))
        {
            return Err(NotOutcomes);
        }
        let mut recent = Self::default();
        text.bytes().for_each(|outcome| recent.push(outcome == b'+'));
        Ok(recent)
    }
}

hex::written_as_text!(OutcomeWindow);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eight_are_remembered_and_come_back_from_text() {
        let mut recent = OutcomeWindow::default();
        for outcome in [false, true, true, true, false, true, true, false, false] {
            recent.push(outcome);
            assert_eq!(recent.to_string().parse(), Ok(recent));
        }
        assert_eq!(recent.to_string(), "+++-++--");
        assert_eq!((recent.failures(), recent.failures_in_a_row()), (3, 2));
        assert!(
            "+".repeat(9).parse::<OutcomeWindow>().is_err()
                && "x".parse::<OutcomeWindow>().is_err()
        );
    }
}
