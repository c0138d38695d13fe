//! The most recent outcomes of a peer.

use std::fmt;
use std::str::FromStr;

use crate::primitives::hex;

/// Up to eight outcomes. As text the oldest comes first: `+` is a success, `-` a failure.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct OutcomeWindow {
    /// One bit per outcome, set for a failure; the lowest bit is the most recent one.
    failures: u8,
    length: u8,
}

/// The error for a text with other characters than `+` and `-`, or with more than eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at most eight of `+` and `-`")]
pub struct NotOutcomes;

impl OutcomeWindow {
    /// Largest number of outcomes.
    pub const LENGTH: u32 = u8::BITS;

    /// Adds an outcome, and drops the oldest one if there are eight already.
    pub fn push(&mut self, is_success: bool) {
        // The shift drops the ninth outcome.
        self.failures = self.failures << 1 | u8::from(!is_success);
        self.length = (self.length + 1).min(Self::LENGTH as u8);
    }

    /// The number of failures.
    pub fn failures(&self) -> u32 {
        self.failures.count_ones()
    }

    /// The number of consecutive failures, counted back from the most recent outcome.
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
        // A longer text would lose its first characters, and so have a second spelling.
        if text.len() > Self::LENGTH as usize
            || !text.bytes().all(|outcome| matches!(outcome, b'+' | b'-'))
        {
            return Err(NotOutcomes);
        }
        let mut window = Self::default();
        text.bytes().for_each(|outcome| window.push(outcome == b'+'));
        Ok(window)
    }
}

hex::written_as_text!(OutcomeWindow);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_keeps_the_last_eight_outcomes_and_survives_its_text() {
        let mut window = OutcomeWindow::default();
        for outcome in [false, true, true, true, false, true, true, false, false] {
            window.push(outcome);
            assert_eq!(window.to_string().parse(), Ok(window));
        }
        assert_eq!(window.to_string(), "+++-++--");
        assert_eq!((window.failures(), window.failures_in_a_row()), (3, 2));
        assert!("+".repeat(9).parse::<OutcomeWindow>().is_err());
        assert!("x".parse::<OutcomeWindow>().is_err());
    }
}
