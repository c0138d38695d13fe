//! Rounds without a network: the test decides which peer delivers, and with which effect.

use std::collections::{BTreeMap, BTreeSet};

use covey_comms::agreement::draw::RoundSecret;
use covey_comms::gauntlet::conduct::PeerTable;
use covey_comms::gauntlet::scoring::{Measurement, ProbeLosses};
use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::gauntlet::{
    ActivePeer, Gauntlet, GauntletConfig, Observations, Participation, RoundOutcome,
};
use covey_comms::membership::Slot;
use covey_comms::objects::{Clipping, DeltaRef, Divisor, Exclusion, Lineage, OuterSettings};
use covey_comms::primitives::{Digest, Keypair, PeerId, Round, RunId};

pub(crate) fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 32])
}

/// A measurement with these relative gains.
pub(crate) fn gains(own: f64, random: f64) -> Measurement {
    let losses = |gain: f64| ProbeLosses { before: 2.0, after: 2.0 * (1.0 - gain), typical: 2.0 };
    Measurement { own: losses(own), random: losses(random) }
}

/// The behaviour of one peer in a round.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Delivers a delta with this effect.
    Delivers(Measurement),
    /// Delivers a delta that is refused.
    Refused(Exclusion),
    /// Does not deliver.
    Absent(Exclusion),
}

/// A helpful delta.
pub(crate) const GOOD: Act = Act::Delivers(Measurement {
    own: ProbeLosses { before: 2.0, after: 1.9, typical: 2.0 },
    random: ProbeLosses { before: 2.0, after: 1.92, typical: 2.0 },
});

/// The state of a run between rounds.
pub(crate) struct World {
    pub(crate) gauntlet: Gauntlet,
    pub(crate) peer_table: PeerTable,
    pub(crate) round: Round,
    pub(crate) previous: Option<Digest>,
}

impl World {
    pub(crate) fn new(config: GauntletConfig) -> Self {
        let gauntlet = Gauntlet::new(config, 20);
        Self { gauntlet, peer_table: PeerTable::default(), round: Round(1), previous: None }
    }

    /// The observations of the next round, without similar pairs.
    pub(crate) fn inputs(&self, acts: &BTreeMap<PeerId, Act>) -> Observations {
        let run = RunId::of(b"a run");
        let (base, validator) = (Lineage::genesis(run), Keypair::from_secret(&[9; 32]));
        let mut inputs = Observations {
            round: self.round,
            base,
            outer: OuterSettings {
                alpha: 1.0,
                mean_over: Divisor::Senders,
                clip: Clipping::MedianNorm,
            },
            commitment_lists: [(validator.peer(), Digest::of(&self.round.0.to_le_bytes()))].into(),
            secret: Some(RoundSecret::of(&validator, run, self.round, base)),
            active: acts
                .iter()
                .zip(0..)
                .map(|((peer, act), index)| (*peer, active(*peer, act, index, acts)))
                .collect(),
            joining: BTreeSet::new(),
            unknown: BTreeSet::new(),
            refused: BTreeMap::new(),
            earlier: BTreeSet::new(),
            overlaps: Vec::new(),
            measurements: BTreeMap::new(),
        };
        let shortlist = self.gauntlet.shortlist_of(&self.peer_table, &inputs);
        let on_list = |peer: &&PeerId| shortlist.peers().contains(peer);
        inputs.refused.extend(acts.keys().filter(on_list).filter_map(|peer| match acts[peer] {
            Act::Refused(reason) => Some((*peer, reason)),
            _ => None,
        }));
        inputs.measured(
            shortlist
                .evaluated
                .iter()
                .filter_map(|peer| match acts[peer] {
                    Act::Delivers(measurement) => Some((*peer, measurement)),
                    _ => None,
                })
                .collect(),
        );
        inputs
    }

    /// Judges a round and starts the next one.
    pub(crate) fn judge(&mut self, inputs: Observations) -> Verdict {
        let outcome = self.gauntlet.judge(&self.peer_table, &inputs);
        let verdict =
            Verdict { previous: self.previous, inputs, outcome, weights: Digest::of(b"weights") };
        assert_eq!(verdict.check(&self.gauntlet, &self.peer_table), Ok(()));
        self.peer_table = verdict.outcome.peer_table.clone();
        self.previous = Some(Digest::of(&verdict.to_bytes()));
        self.round = self.round.next().unwrap();
        verdict
    }

    /// Plays several rounds with the same behaviour of each peer.
    pub(crate) fn play_often(&mut self, rounds: u32, acts: &BTreeMap<PeerId, Act>) {
        for _ in 0..rounds {
            self.play(acts);
        }
    }

    /// Plays a round without copies.
    pub(crate) fn play(&mut self, acts: &BTreeMap<PeerId, Act>) -> RoundOutcome {
        self.judge(self.inputs(acts)).outcome
    }
}

fn active(peer: PeerId, act: &Act, index: u32, acts: &BTreeMap<PeerId, Act>) -> ActivePeer {
    let presence = match act {
        Act::Absent(reason) => Participation::Silent(*reason),
        _ => {
            Participation::Delivered(DeltaRef { digest: Digest::of(peer.as_bytes()), length: 100 })
        }
    };
    ActivePeer { slot: Slot { index, num_slots: acts.len() as u32 }, presence }
}

/// Peers 1 to `count` with the same behaviour.
pub(crate) fn all(count: u8, act: Act) -> BTreeMap<PeerId, Act> {
    (1..=count).map(|number| (peer(number), act)).collect()
}
