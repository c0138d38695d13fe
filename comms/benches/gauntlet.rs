//! Cost of a round for a validator by number of peers, without the evaluation of deltas.
//!
//! Run it with `cargo bench -p covey-comms --bench gauntlet`.
#![expect(clippy::print_stdout, reason = "the measurement is the output")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use covey_comms::agreement::draw::{RoundSecret, Seed};
use covey_comms::gauntlet::checks::Sketch;
use covey_comms::gauntlet::conduct::{PeerRecord, PeerTable};
use covey_comms::gauntlet::scoring::{Measurement, ProbeLosses};
use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::gauntlet::{ActivePeer, Gauntlet, GauntletConfig, Observations, Participation};
use covey_comms::membership::Slot;
use covey_comms::objects::{Clipping, DeltaRef, Divisor, Lineage, OuterSettings};
use covey_comms::primitives::{Digest, Keypair, PeerId, Round, RunId};

const ROUND: Round = Round(100);
/// Positions in a chunk, and the number of them that a delta changes.
const CHUNK: u64 = 4096;
const MOVED: usize = 64;

fn main() {
    // The test runner asks every target for a list of its tests.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    println!(
        "| peers | evaluated | fetched | draw ms | compare ms | judge ms \
         | write and read ms | document KB |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for count in [10, 30, 100, 300, 1000] {
        judge_round(count);
    }
}

fn judge_round(count: u32) {
    let gauntlet = Gauntlet::new(GauntletConfig::default(), 20);
    let peers: BTreeSet<PeerId> = (0..count)
        .map(|number| PeerId::from_bytes(*Digest::of(&number.to_le_bytes()).as_bytes()))
        .collect();
    let peer_table = peer_table(gauntlet.config(), &peers);
    let mut inputs = inputs(&peers);
    let (draw, shortlist) = timed(|| gauntlet.shortlist_of(&peer_table, &inputs));
    let sketches: BTreeMap<PeerId, Sketch> =
        shortlist.peers().into_iter().map(|peer| (peer, sketch(peer))).collect();
    let (compare, overlaps) = timed(|| gauntlet.overlaps(&sketches, &sketches, |one, _| Some(one)));
    inputs.measured(shortlist.evaluated.iter().map(|peer| (*peer, measurement(*peer))).collect());
    let (judge, outcome) = timed(|| gauntlet.judge(&peer_table, &inputs));
    let verdict = Verdict { previous: None, inputs, outcome, weights: Digest::of(b"weights") };
    let (write, length) = timed(|| {
        let bytes = verdict.to_bytes();
        assert!(Verdict::parse(&bytes).is_ok());
        bytes.len()
    });
    // Each delta is a copy of itself in the round before, so each gives one overlap.
    assert_eq!(overlaps.len(), sketches.len());
    println!(
        "| {count} | {} | {} | {draw:.2} | {compare:.1} | {judge:.2} | {write:.2} | {} |",
        shortlist.evaluated.len(),
        sketches.len(),
        length / 1000
    );
}

/// The least time of five calls in milliseconds, and the output of the first.
fn timed<T>(work: impl Fn() -> T) -> (f64, T) {
    let time = || {
        let start = Instant::now();
        let output = work();
        (start.elapsed().as_secs_f64() * 1e3, output)
    };
    let (first, output) = time();
    ((0..4).map(|_| time().0).fold(first, f64::min), output)
}

/// Records of peers with a positive moving average.
fn peer_table(config: &GauntletConfig, peers: &BTreeSet<PeerId>) -> PeerTable {
    let record = |(peer, number): (&PeerId, u32)| {
        let record = PeerRecord::joining_peer(config, Round(1));
        let last_evaluated = Round(ROUND.0 - 1 - number % 50);
        let score = 5.0 + f64::from(number % 97);
        (*peer, PeerRecord { bma: 0.8, score, evaluations: 20, last_evaluated, ..record })
    };
    peers.iter().zip(0..).map(record).collect()
}

fn inputs(peers: &BTreeSet<PeerId>) -> Observations {
    let run = RunId::of(b"a run");
    let (base, validator) = (Lineage::genesis(run), Keypair::from_secret(&[9; 32]));
    let num_slots = peers.len() as u32;
    let active = |(peer, index): (&PeerId, u32)| {
        let delta = DeltaRef { digest: Digest::of(peer.as_bytes()), length: 1 << 20 };
        let slot = Slot { index, num_slots };
        (*peer, ActivePeer { slot, presence: Participation::Delivered(delta) })
    };
    Observations {
        round: ROUND,
        base,
        outer: OuterSettings {
            alpha: 1.0,
            mean_over: Divisor::Senders,
            clip: Clipping::MedianNorm,
        },
        commitment_lists: [(validator.peer(), Digest::of(b"commitment list"))].into(),
        secret: Some(RoundSecret::of(&validator, run, ROUND, base)),
        active: peers.iter().zip(0..).map(active).collect(),
        joining: BTreeSet::new(),
        unknown: BTreeSet::new(),
        refused: BTreeMap::new(),
        earlier: BTreeSet::new(),
        overlaps: Vec::new(),
        measurements: BTreeMap::new(),
    }
}

/// A sketch of the largest size, with different positions for each peer.
fn sketch(peer: PeerId) -> Sketch {
    let seed = Seed::from_bytes(*peer.as_bytes());
    let chunk = |number: usize| {
        seed.draw(&number.to_string(), MOVED, CHUNK).into_iter().map(|place| place as u32)
    };
    Sketch::new((0..Sketch::CHUNKS).map(|number| chunk(number).collect()).collect())
}

fn measurement(peer: PeerId) -> Measurement {
    let gain = f64::from(peer.as_bytes()[0]) / 1e4;
    let losses = |gain: f64| ProbeLosses { before: 3.0, after: 3.0 - gain, typical: 3.0 - 0.01 };
    Measurement { own: losses(gain + 0.01), random: losses(gain + 0.005) }
}
