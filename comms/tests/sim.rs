//! Whole runs in simulated worlds.

use covey_comms::primitives::Round;
use covey_comms::run::RoundParams;
use covey_comms::sim::{Actor, FailureKind, InjectedFailure, Scenario, run};

#[test]
fn a_calm_run_learns() {
    let report = run(&Scenario::calm(8, 10, 1)).unwrap();
    assert_eq!((report.rounds, report.crashes, report.stumbles), (10, 0, 0));
    assert!(report.distance < 0.2, "{}", report.distance);
    // Round 0 enlists; in all others everybody delivers.
    assert_eq!(report.delivered, 8 * 9);
}

/// Several threads, each with its share of the seeds.
fn storms(seeds: std::ops::Range<u64>) {
    let num_threads =
        std::thread::available_parallelism().map_or(2, |threads| threads.get() as u64);
    std::thread::scope(|scope| {
        for first in 0..num_threads {
            let seeds = seeds.clone().skip(first as usize).step_by(num_threads as usize);
            scope.spawn(move || seeds.for_each(play_storm));
        }
    });
}

fn play_storm(seed: u64) {
    let report = run(&Scenario::stormy(seed)).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.rounds, 20, "seed {seed}");
    assert!(
        report.distance < 2.0,
        "seed {seed}: nothing was learned, distance {}",
        report.distance
    );
}

#[test]
fn everybody_holds_the_same_weights_through_200_storms() {
    storms(0..200);
}

#[test]
fn thirty_peers_come_through_while_all_that_can_be_removed_is() {
    let storm = Scenario::stormy(1);
    let rules = RoundParams {
        max_included: 8,
        min_peers: 2,
        patience: 2,
        keep_checkpoints: 1,
        ..storm.rules
    };
    let scenario =
        Scenario { peers: 30, rounds: 40, time_limit: storm.time_limit * 3, rules, ..storm };
    let report = run(&scenario).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.rounds, 40);
    assert!(report.crashes > 100, "{}", report.crashes);
}

#[test]
fn storms_are_storms() {
    let reports: Vec<_> = (0..20).map(|seed| run(&Scenario::stormy(seed)).unwrap()).collect();
    assert!(reports.iter().map(|report| report.crashes).sum::<usize>() > 20);
    assert!(reports.iter().any(|report| report.stumbles > 0));
}

#[test]
fn the_same_scenario_leaves_the_same_trace() {
    for seed in 0..5 {
        let [one, other] = [0, 1].map(|_| run(&Scenario::stormy(seed)).unwrap());
        assert_eq!(one.trace.to_string(), other.trace.to_string());
        assert_eq!(one, other);
    }
    let [one, other] = [1, 2].map(|seed| run(&Scenario::stormy(seed)).unwrap());
    assert_ne!(one.trace.to_string(), other.trace.to_string());
}

#[test]
fn a_peer_that_applies_wrongly_is_caught() {
    let sabotage = vec![InjectedFailure::ForgetsADelta { peer: 2, from: Round(4) }];
    let scenario = Scenario { sabotage, ..Scenario::calm(4, 8, 3) };
    let failure = run(&scenario).unwrap_err();
    let FailureKind::Diverged { round, first, second, .. } = *failure.problem else {
        panic!("{failure}")
    };
    assert_eq!(round, Round(5));
    assert!(first == Actor::Peer(2) || second == Actor::Peer(2));
    let printed = run(&scenario).unwrap_err().to_string();
    assert_eq!(printed, failure.to_string(), "a failure replays");
    assert!(
        printed.contains("seed 3")
            && printed.contains("ForgetsADelta")
            && printed.contains("peer 2 applies")
    );
}

#[test]
fn a_silent_and_a_lying_validator_stop_nobody() {
    let silent = InjectedFailure::SilentValidator { validator: 0 };
    let lying = InjectedFailure::LyingValidator { validator: 1 };
    for (validators, sabotage) in
        [((3, 2), vec![silent]), ((3, 2), vec![lying]), ((5, 3), vec![silent, lying])]
    {
        let scenario = Scenario { validators, sabotage, ..Scenario::calm(6, 12, 5) };
        let report = run(&scenario).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.rounds, 12);
        assert!(report.distance < 0.5, "{}", report.distance);
    }
}

#[test]
fn a_run_that_cannot_go_on_is_reported() {
    let calm = Scenario::calm(3, 5, 1);
    let scenario = Scenario { rules: RoundParams { min_peers: 4, ..calm.rules }, ..calm };
    let failure = run(&scenario).unwrap_err();
    assert!(matches!(*failure.problem, FailureKind::TooSlow { reached: Round(0) }), "{failure}");
}
