//! Time to simulate 1,000 peers over 50 rounds, with 20 included in each round.
//!
//! Run it with `cargo bench -p covey-comms --bench sim`.
#![expect(clippy::print_stdout, reason = "the measurement is the output")]

use std::time::Instant;

use covey_comms::sim::{Scenario, run};

fn main() {
    // The test runner asks every target for a list of its tests.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let scenario = Scenario::calm(1000, 50, 1);
    let start = Instant::now();
    match run(&scenario) {
        Ok(report) => println!(
            "{} peers, {} rounds, {} deltas, {} events, {:.0} s of virtual time: {:.1} s",
            scenario.peers,
            report.rounds,
            report.delivered,
            report.trace.len(),
            report.elapsed.as_secs_f64(),
            start.elapsed().as_secs_f64()
        ),
        Err(failure) => println!("{}", failure.problem),
    }
}
