//! The outer learning rate of each round.

use serde::{Deserialize, Serialize};

use crate::error::SettingErrors;

/// One line of an [`OuterSchedule`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OuterRate {
    /// The first round of this rate.
    pub from_round: u64,
    /// The outer learning rate.
    pub rate: f64,
}

/// The outer learning rate as a step function of the round.
///
/// A checked schedule starts at round 0, its rounds ascend, and its rates are above 0 and at most
/// 10.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OuterSchedule(pub Vec<OuterRate>);

impl Default for OuterSchedule {
    fn default() -> Self {
        Self(vec![OuterRate { from_round: 0, rate: 1.0 }])
    }
}

impl OuterSchedule {
    /// The rate of a round; 0 before the first line.
    pub fn rate(&self, round: u64) -> f64 {
        self.0.iter().rev().find(|line| line.from_round <= round).map_or(0.0, |line| line.rate)
    }

    pub(crate) fn check(&self, findings: &mut SettingErrors) {
        let key = "outer_learning_rate";
        let starts = self.0.first().is_some_and(|line| line.from_round == 0);
        findings.require(starts, key, self.0.len(), "lines must begin with round 0");
        for (index, line) in self.0.iter().enumerate() {
            let ascends = index == 0 || self.0[index - 1].from_round < line.from_round;
            let rule = "must be above the round of the line before";
            findings.require(ascends, format!("{key}[{index}].from_round"), line.from_round, rule);
            // The upper limit catches a misplaced decimal point. The comparisons also reject NaN.
            let in_range = line.rate > 0.0 && line.rate <= 10.0;
            let rule = "must be above 0 and at most 10";
            findings.require(in_range, format!("{key}[{index}].rate"), line.rate, rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_valid_until_the_next_line() {
        let lines = [(0, 1.0), (10, 0.5)].map(|(from_round, rate)| OuterRate { from_round, rate });
        let schedule = OuterSchedule(lines.to_vec());
        assert_eq!([0, 9, 10, 99].map(|round| schedule.rate(round)), [1.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn every_broken_rule_is_reported() {
        let mut findings = SettingErrors::default();
        let lines =
            [(1, 1.0), (1, f64::NAN)].map(|(from_round, rate)| OuterRate { from_round, rate });
        OuterSchedule(lines.to_vec()).check(&mut findings);
        assert_eq!(findings.0.len(), 3);
    }
}
