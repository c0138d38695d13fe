//! Ten peers, three of them dishonest, over the real protocol: attacks do not raise the loss, and
//! earn less than the weakest honest peer.
//!
//! `just adversaries` prints the values that these tests limit.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::sync::OnceLock;
use std::time::Duration;

use covey_comms::gauntlet::conduct::Offence;
use covey_comms::sim::adversary::{Attack, Contest, ContestReport, Evasion};

/// Largest relative increase of the final loss by attacks.
const HARM: f64 = 0.01;

/// The honest peers alone.
fn clean() -> &'static ContestReport {
    static CLEAN: OnceLock<ContestReport> = OnceLock::new();
    CLEAN.get_or_init(|| Contest::with(vec![], 1).play().unwrap())
}

fn play(attack: Attack) -> ContestReport {
    let record = Contest::with(vec![attack; 3], 1).play().unwrap();
    let harm = record.loss() / clean().loss() - 1.0;
    assert!(harm <= HARM, "{attack:?} raises the loss by {harm}");
    assert!(
        record.included_share_of_honest() > 0.9,
        "honest peers are included in {} of all rounds",
        record.included_share_of_honest()
    );
    record
}

/// Plays an attack, which must earn little and be excluded for good after some rounds.
fn check(attack: Attack, rounds: usize) {
    let record = play(attack);
    let (gained, honest) = (record.strongest_attacker_share(), record.weakest_honest_share());
    assert!(gained < honest, "{attack:?} earns {gained}, an honest peer {honest}");
    let out = record.rounds_until_excluded();
    assert!(out <= rounds, "{attack:?} is included for {out} rounds");
}

macro_rules! attacks {
    ($($name:ident: $attack:expr, $rounds:expr;)*) => {
        $(#[test]
        fn $name() {
            check($attack, $rounds);
        })*
    };
}

attacks! {
    noise_is_excluded: Attack::Noise, 15;
    flipped_signs_are_excluded: Attack::SignFlip, 0;
    deltas_scaled_by_a_hundred_are_excluded: Attack::Scaled(100.0), 0;
    deltas_scaled_by_a_thousandth_are_excluded: Attack::Scaled(1e-3), 0;
    copies_of_the_previous_round_are_excluded: Attack::CopiesPrevious(Evasion::Verbatim), 1;
    requantised_copies_of_the_previous_round_are_excluded:
        Attack::CopiesPrevious(Evasion::Requantised), 1;
    mixed_copies_of_the_previous_round_are_excluded: Attack::CopiesPrevious(Evasion::Mixed), 20;
    copies_of_leaks_are_excluded: Attack::CopiesLeak(Evasion::Verbatim), 0;
    requantised_copies_of_leaks_are_excluded: Attack::CopiesLeak(Evasion::Requantised), 0;
    mixed_copies_of_leaks_are_excluded: Attack::CopiesLeak(Evasion::Mixed), 20;
    deltas_of_another_base_are_excluded: Attack::WrongBase, 0;
    training_on_other_data_is_excluded: Attack::OtherData, 50;
    free_riders_are_excluded: Attack::FreeRider, 10;
    late_deltas_are_excluded: Attack::Late, 0;
    withheld_deltas_are_excluded: Attack::Withholds, 0;
    alternating_good_and_bad_deltas_is_excluded: Attack::Alternates, 10;
    malformed_deltas_are_excluded: Attack::Malformed, 0;
    all_attacks_in_turn_are_excluded: Attack::Everything, 25;
    permuted_copies_of_the_previous_round_earn_less:
        Attack::CopiesPrevious(Evasion::Permuted), 50;
    permuted_copies_of_leaks_earn_less: Attack::CopiesLeak(Evasion::Permuted), 50;
}

#[test]
fn of_several_peers_with_one_delta_at_most_one_is_included() {
    let record = play(Attack::Colludes);
    assert!(
        record
            .rounds
            .iter()
            .all(|round| round.included.intersection(&record.attackers).count() <= 1)
    );
    let (gained, honest) = (record.mean_attacker_share(), record.weakest_honest_share());
    assert!(gained < honest, "each colluding peer earns {gained}, an honest peer {honest}");
}

/// Deltas on old weights are real work. An honest peer earns a tenth, so a little more is allowed.
#[test]
fn training_on_old_weights_does_no_harm() {
    let record = play(Attack::Stale(10));
    assert!(record.strongest_attacker_share() < 0.15, "{}", record.strongest_attacker_share());
}

/// Thirty joining peers at once, with three attacks.
fn burst(burst_after: Duration) -> ContestReport {
    let mixture = [Attack::Noise, Attack::CopiesLeak(Evasion::Mixed), Attack::FreeRider];
    let burst = mixture.into_iter().cycle().take(30).collect();
    let record = Contest { burst, burst_after, ..Contest::with(vec![], 1) }.play().unwrap();
    let (gained, honest) = (record.strongest_attacker_share(), record.weakest_honest_share());
    assert!(gained < honest, "a joining peer earns {gained}, an honest peer {honest}");
    record
}

#[test]
fn a_burst_of_joining_peers_does_no_harm_and_earns_less() {
    let harm = burst(Duration::from_secs(1500)).loss() / clean().loss() - 1.0;
    assert!(harm <= HARM, "{harm}");
}

/// No peer is established then, and not all can be evaluated.
#[test]
fn a_burst_in_the_first_round_costs_three_rounds_at_most() {
    let (record, clean) = (burst(Duration::from_secs(60)), clean());
    let earlier = &clean.rounds[clean.rounds.len() - 4];
    assert!(record.loss() < earlier.loss, "{} against {}", record.loss(), earlier.loss);
}

#[test]
fn slow_peers_are_penalised_only_for_missing_and_late_deltas() {
    let contest = Contest { honest: 6, slow: 2, ..Contest::with(vec![], 1) };
    let record = contest.play().unwrap();
    let slow = contest.slow_peers();
    for round in &record.rounds {
        let is_rule = |offence| matches!(offence, Offence::Inactive | Offence::Undelivered);
        assert!(
            round
                .penalties
                .iter()
                .all(|penalty| !slow.contains(&penalty.peer) || is_rule(penalty.offence))
        );
    }
    for peer in slow {
        let included = record.rounds.iter().filter(|round| round.included.contains(&peer)).count();
        assert!(included >= record.rounds.len() / 3, "{included}");
        assert!(record.share(peer) > 0.0);
    }
}

#[test]
fn the_same_contest_has_the_same_report() {
    let [one, other] = [(); 2].map(|()| {
        Contest { rounds: 8, ..Contest::with(vec![Attack::Noise; 3], 4) }.play().unwrap()
    });
    assert_eq!(one, other);
}
