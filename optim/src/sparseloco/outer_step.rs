//! How the shared weights move, and how far in which round.

use multiversion::multiversion;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::aggregate::Aggregate;
use super::error::SparseLocoError;
use super::schema::Schema;
use crate::error::SettingErrors;

/// Elements that one thread works on at a time.
const GRAIN: usize = 16 * 1024;

/// One line of an [`OuterSchedule`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OuterRate {
    /// The first round it holds for.
    pub from_round: u64,
    /// The outer learning rate.
    pub rate: f64,
}

/// The outer learning rate of each round, as steps.
///
/// A checked schedule starts at round 0, its rounds rise, and its rates are above 0 and at most 10.
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
            let rises = index == 0 || self.0[index - 1].from_round < line.from_round;
            let rule = "must be above the round of the line before";
            findings.require(rises, format!("{key}[{index}].from_round"), line.from_round, rule);
            let sane = line.rate > 0.0 && line.rate <= 10.0;
            findings.require(
                sane,
                format!("{key}[{index}].rate"),
                line.rate,
                "must be above 0 and at most 10",
            );
        }
    }
}

/// `weights = weights - rate * step`, without momentum or decay; tensors in the order of the schema.
///
/// The rate is rounded to `f32` once. A tensor that would hold a NaN or an infinity afterwards stays as it is; the names of such tensors come back.
///
/// # Errors
///
/// Weights or a step of another form; nothing is changed then.
pub fn outer_step<'a>(
    schema: &'a Schema,
    weights: &mut [&mut [f32]],
    step: &Aggregate,
    rate: f64,
) -> Result<Vec<&'a str>, SparseLocoError> {
    schema.check_lengths("weight", weights.iter().map(|tensor| tensor.len()))?;
    schema.check_lengths("step", step.tensors.iter().map(Vec::len))?;
    let tensors = schema.tensors().par_iter().zip(weights).zip(&step.tensors);
    let skipped = tensors.filter_map(|((spec, weights), step)| {
        let applied = apply(weights, step, rate as f32);
        (!applied).then_some(spec.name())
    });
    Ok(skipped.collect())
}

fn apply(weights: &mut [f32], step: &[f32], rate: f32) -> bool {
    let finite = weights
        .par_chunks(GRAIN)
        .zip(step.par_chunks(GRAIN))
        .all(|(w, s)| stays_finite(w, s, rate));
    if finite {
        weights
            .par_chunks_mut(GRAIN)
            .zip(step.par_chunks(GRAIN))
            .for_each(|(w, s)| descend(w, s, rate));
    }
    finite
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn stays_finite(weights: &[f32], step: &[f32], rate: f32) -> bool {
    let bits = |(weight, step): (&f32, &f32)| (*weight - rate * *step).to_bits() & 0x7fff_ffff;
    weights.iter().zip(step).map(bits).fold(0, u32::max) < f32::INFINITY.to_bits()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn descend(weights: &mut [f32], step: &[f32], rate: f32) {
    weights.iter_mut().zip(step).for_each(|(weight, step)| *weight -= rate * *step);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparseloco::config::Profile;

    #[test]
    fn rates_hold_until_the_next_line() {
        let lines = [(0, 1.0), (10, 0.5)].map(|(from_round, rate)| OuterRate { from_round, rate });
        let schedule = OuterSchedule(lines.to_vec());
        assert_eq!([0, 9, 10, 99].map(|round| schedule.rate(round)), [1.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn broken_schedules_are_named() {
        let mut findings = SettingErrors::default();
        let lines =
            [(1, 1.0), (1, f64::NAN)].map(|(from_round, rate)| OuterRate { from_round, rate });
        OuterSchedule(lines.to_vec()).check(&mut findings);
        assert_eq!(findings.0.len(), 3);
    }

    #[test]
    fn a_tensor_that_would_not_be_finite_stays() {
        let schema = Schema::new(Profile::Covey, 64, [("a", &[2][..]), ("b", &[1][..])]).unwrap();
        let (mut a, mut b) = ([1.0, 2.0], [3.0]);
        let step = Aggregate { tensors: vec![vec![f32::NAN, 1.0], vec![2.0]] };
        let skipped = outer_step(&schema, &mut [&mut a, &mut b], &step, 0.5).unwrap();
        assert_eq!((skipped, a, b), (vec!["a"], [1.0, 2.0], [2.0]));
    }
}
