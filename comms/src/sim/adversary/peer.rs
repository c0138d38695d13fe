//! A peer of a contest, honest or dishonest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::arena::{Arena, POLL};
use super::attack::{Attack, Evasion, malformed, noise};
use super::delta::{ToyDelta, ToyFeedback, apply};
use super::regression::{ASSIGNED, Regression, SampleSource, ToyWeights};
use crate::history::LightClient;
use crate::objects::Manifest;
use crate::participants::PeerClient;
use crate::primitives::{Keypair, PeerId, SeededRng};
use crate::run::CommsError;
use crate::sim::world::NEVER;

/// The time from the leak of a delta to the commitment of its copy.
// A poll of the bucket and some work; the copy still meets the deadline of 300 s.
const COPYING_TIME: Duration = Duration::from_secs(12);

/// Extra seconds of training that make a peer late: with 30 to 60 s of training, more than 300 s.
const DELAY: f64 = 285.0;

/// The behaviour of a peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Behaviour {
    /// The attack of a dishonest peer.
    pub(super) attack: Option<Attack>,
    /// The time after which it joins.
    pub(super) arrival: Duration,
    /// It is late in one of so many rounds.
    pub(super) slow_every: Option<u32>,
    /// It shows its deltas to dishonest peers before the reveal.
    pub(super) leaks: bool,
}

/// One peer with its copy of the weights.
pub(super) struct ArenaPeer<'arena> {
    arena: &'arena Arena,
    behaviour: Behaviour,
    client: PeerClient,
    light_client: LightClient,
    weights: ToyWeights,
    /// The weights at the start of all rounds so far.
    history: Vec<ToyWeights>,
    /// The deltas of the previous round.
    previous: BTreeMap<PeerId, ToyDelta>,
    feedback: ToyFeedback,
    rng: SeededRng,
}

/// A payload to commit to, and the one to reveal.
struct Contribution {
    committed: Bytes,
    revealed: Option<Bytes>,
}

impl Contribution {
    /// Reveals the committed payload.
    fn consistent(payload: Bytes) -> Self {
        Self { revealed: Some(payload.clone()), committed: payload }
    }
}

impl<'arena> ArenaPeer<'arena> {
    pub(super) async fn join(
        arena: &'arena Arena,
        identity: Keypair,
        behaviour: Behaviour,
    ) -> Result<Self, CommsError> {
        arena.sleep(behaviour.arrival).await;
        let run = arena.open().await?;
        // Named by the key, so a peer draws the same numbers in contests with other attackers.
        let rng = SeededRng::named(arena.seed, &identity.peer().to_string(), 2);
        let client = PeerClient::new(run.clone(), identity);
        client.join_request().await?;
        Ok(Self {
            arena,
            behaviour,
            client,
            light_client: LightClient::genesis(run),
            weights: Regression::genesis(),
            history: Vec::new(),
            previous: BTreeMap::new(),
            feedback: ToyFeedback::new(),
            rng,
        })
    }

    /// Takes part until the end of the contest.
    pub(super) async fn run(mut self) -> Result<(), CommsError> {
        loop {
            while let Some(manifest) = self.light_client.poll().await? {
                self.absorb(&manifest).await?;
            }
            if self.arena.is_over(self.light_client.next()) {
                return Ok(());
            }
            self.client.heartbeat(self.light_client.next(), self.light_client.head()).await?;
            if self.light_client.slot(self.client.peer()).is_some() {
                self.contribute().await?;
            }
            if let Some(manifest) = self.light_client.wait(POLL, NEVER).await? {
                self.absorb(&manifest).await?;
            }
        }
    }

    async fn absorb(&mut self, manifest: &Manifest) -> Result<(), CommsError> {
        let payloads = self.light_client.gather(manifest).await?;
        self.previous = payloads
            .into_iter()
            .filter_map(|(peer, payload)| Some((peer, ToyDelta::parse(&payload).ok()?)))
            .collect();
        // Before the update, so index n holds the weights at the start of round n.
        self.history.push(self.weights.clone());
        apply(&mut self.weights, &self.previous, manifest.outer().alpha);
        Ok(())
    }

    /// The attack in this round.
    fn current_attack(&self) -> Option<Attack> {
        self.behaviour.attack.map(|attack| attack.in_round(self.light_client.next()))
    }

    async fn contribute(&mut self) -> Result<(), CommsError> {
        let (round, head) = (self.light_client.next(), self.light_client.head());
        let is_slow = self.behaviour.slow_every.is_some_and(|every| round.0.is_multiple_of(every));
        let is_late = is_slow || self.current_attack() == Some(Attack::Late);
        let training = 30.0 + 30.0 * self.rng.fraction() + if is_late { DELAY } else { 0.0 };
        self.arena.sleep(Duration::from_secs_f64(training)).await;
        let contribution = match self.current_attack() {
            None => Contribution::consistent(self.honest_delta().to_bytes()),
            Some(attack) => self.attack(attack).await,
        };
        self.client.commit(round, head, &contribution.committed).await?;
        // After the commitment: a leak before it would let a copy be committed first.
        if self.behaviour.leaks
            && let Ok(delta) = ToyDelta::parse(&contribution.committed)
        {
            self.arena.leak(round, delta);
        }
        self.reveal(contribution).await
    }

    /// Publishes the delta once commitments are closed, unless the round ends first.
    async fn reveal(&mut self, contribution: Contribution) -> Result<(), CommsError> {
        let (round, head) = (self.light_client.next(), self.light_client.head());
        let Some(payload) = contribution.revealed else { return Ok(()) };
        while !self.client.may_reveal(round, head).await? {
            if self.light_client.clone().poll().await?.is_some() {
                return Ok(());
            }
            self.arena.sleep(POLL).await;
        }
        let base = match (self.current_attack(), self.light_client.last()) {
            (Some(Attack::WrongBase), Some(last)) => last.previous(),
            _ => head,
        };
        self.client.publish(round, base, payload).await.map(drop)
    }

    /// The delta of honest training on the assigned data.
    fn honest_delta(&mut self) -> ToyDelta {
        let step = self.train(0..ASSIGNED);
        self.feedback.compress(&step)
    }

    fn train(&self, windows: Range<u64>) -> ToyWeights {
        self.arena.problem.train(&self.weights, self.assigned(), windows)
    }

    /// The data that is assigned to this peer in this round.
    fn assigned(&self) -> SampleSource {
        SampleSource::Peer(self.light_client.next(), self.client.peer())
    }

    async fn attack(&mut self, attack: Attack) -> Contribution {
        let round = self.light_client.next();
        let delta = self.attack_delta(attack).await;
        let payload = delta.to_bytes();
        match attack {
            Attack::Withholds => Contribution { committed: payload, revealed: None },
            // Seven is prime to the six ways of `malformed`, so each of them occurs as well.
            Attack::Malformed if round.0.is_multiple_of(7) => {
                let other = noise(1.0, &mut self.rng).to_bytes();
                Contribution { committed: payload, revealed: Some(other) }
            }
            Attack::Malformed => Contribution::consistent(malformed(
                round.0,
                &delta,
                self.arena.max_delta,
                &mut self.rng,
            )),
            _ => Contribution::consistent(payload),
        }
    }

    async fn attack_delta(&mut self, attack: Attack) -> ToyDelta {
        let round = self.light_client.next();
        match attack {
            Attack::Noise => noise(self.honest_delta().norm(), &mut self.rng),
            Attack::SignFlip => scaled(self.honest_delta(), -1.0),
            Attack::Alternates if round.0.is_multiple_of(2) => scaled(self.honest_delta(), -1.0),
            Attack::Scaled(factor) => scaled(self.honest_delta(), factor),
            Attack::CopiesPrevious(evasion) => self.copy_of_previous(evasion),
            Attack::CopiesLeak(evasion) => self.copy_of_leak(evasion).await,
            Attack::Stale(rounds) => self.stale_delta(rounds),
            Attack::OtherData => self.delta_of_other_data(),
            Attack::FreeRider => ToyDelta::of(&self.train(0..1)),
            Attack::Colludes => self.colluder_delta(),
            // The others train honestly and deviate in what they commit to or reveal.
            _ => self.honest_delta(),
        }
    }

    fn delta_of_other_data(&mut self) -> ToyDelta {
        // 34 bits: within the 2^40 windows that are assigned to no peer.
        let first = self.rng.bits() >> 30;
        let windows = first..first + ASSIGNED;
        let step = self.arena.problem.train(&self.weights, SampleSource::Unassigned, windows);
        self.feedback.compress(&step)
    }

    fn copy_of_previous(&mut self, evasion: Evasion) -> ToyDelta {
        let own = self.client.peer();
        let original =
            self.previous.iter().find(|(peer, _)| **peer != own).map(|(_, delta)| delta.clone());
        match original {
            Some(original) => evasion.apply(&original, &mut self.rng),
            None => self.honest_delta(),
        }
    }

    async fn copy_of_leak(&mut self, evasion: Evasion) -> ToyDelta {
        match self.arena.wait_for_leak(self.light_client.next()).await {
            Some(original) => {
                self.arena.sleep(COPYING_TIME).await;
                evasion.apply(&original, &mut self.rng)
            }
            None => self.honest_delta(),
        }
    }

    /// The first colluding peer trains; the others send its delta.
    fn colluder_delta(&mut self) -> ToyDelta {
        let round = self.light_client.next();
        if let Some(delta) = self.arena.colluder_delta(round) {
            return delta;
        }
        let delta = self.honest_delta();
        self.arena.share_with_colluders(round, delta.clone());
        delta
    }

    fn stale_delta(&mut self, rounds: u32) -> ToyDelta {
        let at = self.history.len().saturating_sub(rounds as usize);
        let start = self.history.get(at).unwrap_or(&self.weights);
        let step = self.arena.problem.train(start, self.assigned(), 0..ASSIGNED);
        self.feedback.compress(&step)
    }
}

fn scaled(mut delta: ToyDelta, factor: f32) -> ToyDelta {
    delta.scale *= factor;
    delta
}
