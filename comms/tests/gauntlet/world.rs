//! Rounds made up without a network: who delivers what, and what it does.

use std::collections::{BTreeMap, BTreeSet};

use covey_comms::agreement::draw::RoundSecret;
use covey_comms::gauntlet::conduct::PeerTable;
use covey_comms::gauntlet::scoring::{Measurement, ProbeLosses};
use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::gauntlet::{
    ActivePeer, Gauntlet, GauntletConfig, Observations, Participation, RoundOutcome,
};
use covey_comms::membership::Slot;
use covey_comms::objects::{Clip, DeltaRef, Exclusion, Lineage, MeanOver, OuterSettings};
use covey_comms::primitives::{Digest, Keypair, PeerId, Round, RunId};

pub(crate) fn peer(number: u8) -> PeerId {
    PeerId::from_bytes([number; 32])
}

/// A measurement with these relative gains.
pub(crate) fn gains(own: f64, random: f64) -> Measurement {
    let losses = |gain: f64| ProbeLosses { before: 2.0, after: 2.0 * (1.0 - gain), typical: 2.0 };
    Measurement { own: losses(own), random: losses(random) }
}

/// What one peer does in a round.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Delivers what has this effect.
    Delivers(Measurement),
    /// Delivers what cannot be used.
    Spoils(Exclusion),
    /// Does not deliver.
    Fails(Exclusion),
}

/// A delta that does good.
pub(crate) const GOOD: Act = Act::Delivers(Measurement {
    own: ProbeLosses { before: 2.0, after: 1.9, typical: 2.0 },
    random: ProbeLosses { before: 2.0, after: 1.92, typical: 2.0 },
});

/// A run of a few peers.
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

    /// The inputs of the next round, without overlaps.
    pub(crate) fn inputs(&self, acts: &BTreeMap<PeerId, Act>) -> Observations {
        let run = RunId::of(b"a run");
        let (base, validator) = (Lineage::genesis(run), Keypair::from_secret(&[9; 32]));
        let mut inputs = Observations {
            round: self.round,
            base,
            outer: OuterSettings {
                alpha: 1.0,
                mean_over: MeanOver::Senders,
                clip: Clip::MedianNorm,
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
            Act::Spoils(reason) => Some((*peer, reason)),
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

    /// Judges a round and goes on to the next.
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

    /// Plays several rounds in which everybody does the same each time.
    pub(crate) fn play_often(&mut self, rounds: u32, acts: &BTreeMap<PeerId, Act>) {
        for _ in 0..rounds {
            self.play(acts);
        }
    }

    /// Plays a round in which nobody copies.
    pub(crate) fn play(&mut self, acts: &BTreeMap<PeerId, Act>) -> RoundOutcome {
        self.judge(self.inputs(acts)).outcome
    }
}

fn active(peer: PeerId, act: &Act, index: u32, acts: &BTreeMap<PeerId, Act>) -> ActivePeer {
    let presence = match act {
        Act::Fails(reason) => Participation::Silent(*reason),
        _ => {
            Participation::Delivered(DeltaRef { digest: Digest::of(peer.as_bytes()), length: 100 })
        }
    };
    ActivePeer { slot: Slot { index, of: acts.len() as u32 }, presence }
}

/// Everybody from 1 to `count` does the same.
pub(crate) fn all(count: u8, act: Act) -> BTreeMap<PeerId, Act> {
    (1..=count).map(|number| (peer(number), act)).collect()
}
