//! The gain and the harm of each attack in simulated runs.
//!
//! `just adversaries` writes the output to `docs/results/adversaries.md`.
#![expect(clippy::print_stdout, reason = "the table is the output")]

use std::time::Duration;

use covey_comms::sim::adversary::{Attack, Contest, ContestError, ContestReport, Evasion};

const HEAD: &str = "\
# Gain and harm of attacks

Seven honest and three dishonest peers train a regression of 1,024 weights for 50 rounds. They run
in one process but over the real protocol: bucket, commitments, commitment lists, verdicts and
manifests, with three validators of which two must agree. The configuration is the default, except
that 64 windows are evaluated because windows are small here. `cargo test -p covey-comms --test
adversaries` checks the same runs against limits.

- Command: `just adversaries`; each row has three seeds, each also run without the attack
- *harm*: increase of the final loss over all data against the run without the attack; mean and
  worst of the seeds (limit: 1)
- *out after*: rounds until no delta of an attacker is included any more, the latest of the seeds
- *in*: share of the rounds in which the delta of an attacker is included
- *share*: payouts of an attacker, mean and best; limit: share of the weakest honest peer

| attack | harm % | worst % | out after | in % | share % | best % \
| weakest honest % | excluded as |
|---|---:|---:|---:|---:|---:|---:|---:|---|";

const SEEDS: [u64; 3] = [1, 2, 3];

/// The results of one attack over all seeds.
struct Row {
    name: String,
    harms: Vec<f64>,
    records: Vec<ContestReport>,
}

impl Row {
    fn of(name: impl ToString, change: impl Fn(Contest) -> Contest) -> Result<Self, ContestError> {
        let mut row = Self { name: name.to_string(), harms: Vec::new(), records: Vec::new() };
        for seed in SEEDS {
            let contest = change(Contest::with(vec![], seed));
            let clean = Contest { attackers: vec![], burst: vec![], ..contest.clone() }.play()?;
            let record = contest.play()?;
            row.harms.push(100.0 * (record.loss() / clean.loss() - 1.0));
            row.records.push(record);
        }
        Ok(row)
    }

    fn mean(&self, value: impl Fn(&ContestReport) -> f64) -> f64 {
        self.records.iter().map(value).sum::<f64>() / self.records.len() as f64
    }

    fn print(&self) {
        let harm = self.harms.iter().sum::<f64>() / self.harms.len() as f64;
        let worst = self.harms.iter().copied().fold(f64::MIN, f64::max);
        let last =
            self.records.iter().map(ContestReport::rounds_until_excluded).max().unwrap_or_default();
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        println!(
            "| {} | {harm:+.2} | {worst:+.2} | {last} | {} | {} | {} | {} | {} |",
            self.name,
            percent(self.mean(ContestReport::included_share_of_attackers)),
            percent(self.mean(ContestReport::mean_attacker_share)),
            percent(self.mean(ContestReport::strongest_attacker_share)),
            percent(self.mean(ContestReport::weakest_honest_share)),
            self.reasons(),
        );
    }

    /// The three most common reasons for exclusion.
    fn reasons(&self) -> String {
        let mut reasons: Vec<_> = self.records.iter().flat_map(ContestReport::reasons).collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        let mut names: Vec<String> = Vec::new();
        for name in reasons.into_iter().map(|(reason, _)| reason.to_string()) {
            if !names.contains(&name) && names.len() < 3 {
                names.push(name);
            }
        }
        names.join(", ")
    }
}

fn main() -> Result<(), ContestError> {
    println!("{HEAD}");
    for attack in Attack::KINDS.into_iter().chain([Attack::Everything]) {
        Row::of(attack, |contest| Contest { attackers: vec![attack; 3], ..contest })?.print();
    }
    let mixture = [Attack::Noise, Attack::CopiesLeak(Evasion::Mixed), Attack::FreeRider];
    let burst: Vec<Attack> = mixture.into_iter().cycle().take(30).collect();
    Row::of("30 joining peers at once", |contest| Contest { burst: burst.clone(), ..contest })?
        .print();
    let early = Duration::from_secs(60);
    Row::of("the same at the start", |contest| Contest {
        burst: burst.clone(),
        burst_after: early,
        ..contest
    })?
    .print();
    let all = Attack::KINDS.to_vec();
    Row::of("one of each kind, 49 honest", |contest| Contest {
        honest: 49,
        attackers: all.clone(),
        ..contest
    })?
    .print();
    Ok(())
}
