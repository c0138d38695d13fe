//! Ten peers of which three cheat, over the real protocol: cheats do no harm and gain less than the weakest honest peer.
//!
//! `just adversaries` prints what is held to bars here.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::sync::OnceLock;
use std::time::Duration;

use covey_comms::gauntlet::conduct::Offence;
use covey_comms::sim::adversary::{Attack, Contest, ContestReport, Evasion};

/// The most by which cheats may raise the final loss.
const HARM: f64 = 0.01;

/// The honest peers without the cheats.
fn clean() -> &'static ContestReport {
    static CLEAN: OnceLock<ContestReport> = OnceLock::new();
    CLEAN.get_or_init(|| Contest::with(vec![], 1).play().unwrap())
}

fn play(attack: Attack) -> ContestReport {
    let record = Contest::with(vec![attack; 3], 1).play().unwrap();
    let harm = record.loss() / clean().loss() - 1.0;
    assert!(harm <= HARM, "{attack:?} raise the loss by {harm}");
    assert!(
        record.included_share_of_honest() > 0.9,
        "honest peers are in {} of all rounds",
        record.included_share_of_honest()
    );
    record
}

/// Plays a kind of cheat, which must gain little and be out for good after some rounds.
fn check(attack: Attack, rounds: usize) {
    let record = play(attack);
    let (gained, honest) = (record.strongest_attacker_share(), record.weakest_honest_share());
    assert!(gained < honest, "{attack:?} gain {gained}, an honest peer {honest}");
    let out = record.rounds_until_excluded();
    assert!(out <= rounds, "{attack:?} are in for {out} rounds");
}

macro_rules! kinds {
    ($($name:ident: $attack:expr, $rounds:expr;)*) => {
        $(#[test]
        fn $name() {
            check($attack, $rounds);
        })*
    };
}

kinds! {
    noise_is_out: Attack::Noise, 15;
    flipped_signs_are_out: Attack::SignFlip, 0;
    a_hundred_times_as_much_is_out: Attack::Scaled(100.0), 0;
    a_thousandth_is_out: Attack::Scaled(1e-3), 0;
    copies_of_the_round_before_are_out: Attack::CopiesPrevious(Evasion::Verbatim), 1;
    recoded_copies_of_the_round_before_are_out: Attack::CopiesPrevious(Evasion::Requantised), 1;
    mixed_copies_of_the_round_before_are_out: Attack::CopiesPrevious(Evasion::Mixed), 20;
    copies_of_leaks_are_out: Attack::CopiesLeak(Evasion::Verbatim), 0;
    recoded_copies_of_leaks_are_out: Attack::CopiesLeak(Evasion::Requantised), 0;
    mixed_copies_of_leaks_are_out: Attack::CopiesLeak(Evasion::Mixed), 20;
    another_base_is_out: Attack::WrongBase, 0;
    other_data_is_out: Attack::OtherData, 50;
    free_riders_are_out: Attack::FreeRider, 10;
    the_late_are_out: Attack::Late, 0;
    who_withholds_is_out: Attack::Withholds, 0;
    alternating_good_and_bad_is_out: Attack::Alternates, 10;
    malformed_deltas_are_out: Attack::Malformed, 0;
    everything_in_turn_is_out: Attack::Everything, 25;
    permuted_copies_of_the_round_before_gain_nothing: Attack::CopiesPrevious(Evasion::Permuted), 50;
    permuted_copies_of_leaks_gain_nothing: Attack::CopiesLeak(Evasion::Permuted), 50;
}

#[test]
fn of_a_gang_that_sends_one_delta_at_most_one_counts() {
    let record = play(Attack::Colludes);
    assert!(
        record
            .rounds
            .iter()
            .all(|round| round.included.intersection(&record.attackers).count() <= 1)
    );
    let (gained, honest) = (record.mean_attacker_share(), record.weakest_honest_share());
    assert!(gained < honest, "the gang gains {gained} a head, an honest peer {honest}");
}

/// It is work all the same, and may be worth what work is worth: an honest peer's share is a tenth.
#[test]
fn work_on_old_weights_does_no_harm() {
    let record = play(Attack::Stale(10));
    assert!(record.strongest_attacker_share() < 0.15, "{}", record.strongest_attacker_share());
}

/// Thirty newcomers at once, of three kinds.
fn burst(burst_after: Duration) -> ContestReport {
    let mixture = [Attack::Noise, Attack::CopiesLeak(Evasion::Mixed), Attack::FreeRider];
    let burst = mixture.into_iter().cycle().take(30).collect();
    let record = Contest { burst, burst_after, ..Contest::with(vec![], 1) }.play().unwrap();
    let (gained, honest) = (record.strongest_attacker_share(), record.weakest_honest_share());
    assert!(gained < honest, "a newcomer gains {gained}, an honest peer {honest}");
    record
}

#[test]
fn a_burst_of_newcomers_does_no_harm_and_gains_nothing() {
    let harm = burst(Duration::from_secs(1500)).loss() / clean().loss() - 1.0;
    assert!(harm <= HARM, "{harm}");
}

/// Nobody is known then, and not all can be measured.
#[test]
fn a_burst_in_the_first_round_costs_three_rounds_at_most() {
    let (record, clean) = (burst(Duration::from_secs(60)), clean());
    let earlier = &clean.rounds[clean.rounds.len() - 4];
    assert!(record.loss() < earlier.loss, "{} against {}", record.loss(), earlier.loss);
}

#[test]
fn slow_peers_are_not_punished_beyond_the_rule() {
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
fn the_same_contest_goes_the_same_way() {
    let [one, other] = [(); 2].map(|()| {
        Contest { rounds: 8, ..Contest::with(vec![Attack::Noise; 3], 4) }.play().unwrap()
    });
    assert_eq!(one, other);
}
