//! What cheats gain and what harm they do: `just adversaries` writes it to `docs/results/adversaries.md`.
#![expect(clippy::print_stdout, reason = "the table is the output")]

use std::time::Duration;

use covey_comms::sim::adversary::{Attack, Contest, ContestError, ContestReport, Evasion};

const HEAD: &str = "\
# What cheating does

Seven honest peers and three that cheat learn a regression of 1,024 weights for 50 rounds, in one process but over the real
protocol: bucket, commitments, rolls, three validators of whom two must agree, verdicts, manifests. Everything is the default
configuration, but windows are small here, so 64 are measured. The same runs are held to bars by `cargo test -p covey-comms
--test adversaries`.

- Command: `just adversaries`; every row is played from three seeds, each also without the cheats
- *harm*: how much higher the loss over all data is at the end than without the cheats; mean and worst of the seeds (bar: 1)
- *out after*: rounds from the first until no cheat counts any more, the latest of the seeds; *in*: of how many of all
  rounds a cheat's delta counts
- *share*: of all payouts a cheat gets, on average and the best one; bar: below the weakest honest peer's

| cheats | harm % | worst % | out after | in % | share % | best % | weakest honest % | left out as |
|---|---:|---:|---:|---:|---:|---:|---:|---|";

const SEEDS: [u64; 3] = [1, 2, 3];

/// What came out over all seeds.
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

    /// The commonest reasons of all.
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
    Row::of("30 newcomers at once", |contest| Contest { burst: burst.clone(), ..contest })?.print();
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
