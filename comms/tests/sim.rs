//! Simulations of whole runs, with and without faults.

use covey_comms::primitives::Round;
use covey_comms::run::RoundParams;
use covey_comms::sim::{Actor, FailureKind, InjectedFailure, Scenario, run};

#[test]
fn a_calm_run_learns() {
    let report = run(&Scenario::calm(8, 10, 1)).unwrap();
    assert_eq!((report.rounds, report.crashes, report.restarts), (10, 0, 0));
    assert!(report.distance < 0.2, "{}", report.distance);
    // Peers join in round 0; in all other rounds each of them delivers.
    assert_eq!(report.delivered, 8 * 9);
}

/// Runs the stormy scenario for all seeds, divided over several threads.
fn run_storms(seeds: std::ops::Range<u64>) {
    let num_threads =
        std::thread::available_parallelism().map_or(2, |threads| threads.get() as u64);
    std::thread::scope(|scope| {
        for first in 0..num_threads {
            let seeds = seeds.clone().skip(first as usize).step_by(num_threads as usize);
            scope.spawn(move || seeds.for_each(run_storm));
        }
    });
}

fn run_storm(seed: u64) {
    let report = run(&Scenario::stormy(seed)).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.rounds, 20, "seed {seed}");
    assert!(
        report.distance < 2.0,
        "seed {seed}: the model did not learn, distance {}",
        report.distance
    );
}

#[test]
fn all_actors_have_equal_weights_in_200_storms() {
    run_storms(0..200);
}

#[test]
fn thirty_peers_finish_although_old_objects_are_removed_early() {
    let storm = Scenario::stormy(1);
    let round_params = RoundParams {
        max_included: 8,
        min_peers: 2,
        patience: 2,
        keep_checkpoints: 1,
        ..storm.round_params
    };
    let scenario =
        Scenario { peers: 30, rounds: 40, time_limit: storm.time_limit * 3, round_params, ..storm };
    let report = run(&scenario).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(report.rounds, 40);
    assert!(report.crashes > 100, "{}", report.crashes);
}

#[test]
fn storms_contain_crashes_and_restarts() {
    let reports: Vec<_> = (0..20).map(|seed| run(&Scenario::stormy(seed)).unwrap()).collect();
    assert!(reports.iter().map(|report| report.crashes).sum::<usize>() > 20);
    assert!(reports.iter().any(|report| report.restarts > 0));
}

#[test]
fn equal_scenarios_have_equal_traces() {
    for seed in 0..5 {
        let [one, other] = [0, 1].map(|_| run(&Scenario::stormy(seed)).unwrap());
        assert_eq!(one.trace.to_string(), other.trace.to_string());
        assert_eq!(one, other);
    }
    let [one, other] = [1, 2].map(|seed| run(&Scenario::stormy(seed)).unwrap());
    assert_ne!(one.trace.to_string(), other.trace.to_string());
}

#[test]
fn a_peer_that_omits_a_delta_is_detected() {
    let injected_failures = vec![InjectedFailure::OmitsDelta { peer: 2, from: Round(4) }];
    let scenario = Scenario { injected_failures, ..Scenario::calm(4, 8, 3) };
    let failure = run(&scenario).unwrap_err();
    let FailureKind::Diverged { round, first, second, .. } = *failure.problem else {
        panic!("{failure}")
    };
    assert_eq!(round, Round(5));
    assert!(first == Actor::Peer(2) || second == Actor::Peer(2));
    let printed = run(&scenario).unwrap_err().to_string();
    assert_eq!(printed, failure.to_string(), "a failure can be replayed");
    assert!(
        printed.contains("seed 3")
            && printed.contains("OmitsDelta")
            && printed.contains("peer 2 applies")
    );
}

#[test]
fn a_silent_and_a_dishonest_validator_do_not_stop_the_run() {
    let silent = InjectedFailure::SilentValidator { validator: 0 };
    let dishonest = InjectedFailure::DishonestValidator { validator: 1 };
    for (validators, injected_failures) in
        [((3, 2), vec![silent]), ((3, 2), vec![dishonest]), ((5, 3), vec![silent, dishonest])]
    {
        let scenario = Scenario { validators, injected_failures, ..Scenario::calm(6, 12, 5) };
        let report = run(&scenario).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(report.rounds, 12);
        assert!(report.distance < 0.5, "{}", report.distance);
    }
}

#[test]
fn a_run_that_cannot_continue_is_reported() {
    let calm = Scenario::calm(3, 5, 1);
    let scenario =
        Scenario { round_params: RoundParams { min_peers: 4, ..calm.round_params }, ..calm };
    let failure = run(&scenario).unwrap_err();
    assert!(matches!(*failure.problem, FailureKind::TooSlow { reached: Round(0) }), "{failure}");
}
