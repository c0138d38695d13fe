//! The life of a peer in a contest, honest or not.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::arena::{Arena, POLL};
use super::attack::{Attack, Evasion, noise, nonsense};
use super::delta::{ToyDelta, ToyFeedback, apply};
use super::regression::{ASSIGNED, Regression, SampleSource, ToyWeights};
use crate::history::LightClient;
use crate::objects::Manifest;
use crate::participants::PeerClient;
use crate::primitives::{Keypair, PeerId, SeededRng, Timestamp};
use crate::run::CommsError;

/// How long after the leak of a delta a copy of it is committed.
const COPYING: Duration = Duration::from_secs(12);

/// What a peer is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Behaviour {
    /// How it cheats, if it does.
    pub(crate) attack: Option<Attack>,
    /// When it comes.
    pub(crate) arrival: Duration,
    /// It is too slow in one of so many rounds.
    pub(crate) slow_every: Option<u32>,
    /// It shows others what it has learned before it should.
    pub(crate) leaks: bool,
}

/// One peer: what it knows and remembers.
pub(crate) struct ArenaPeer<'stage> {
    stage: &'stage Arena,
    character: Behaviour,
    member: PeerClient,
    light_client: LightClient,
    weights: ToyWeights,
    /// Weights at the start of all rounds so far.
    history: Vec<ToyWeights>,
    /// The deltas of the last round.
    last: BTreeMap<PeerId, ToyDelta>,
    feedback: ToyFeedback,
    dice: SeededRng,
}

/// What a peer commits to, and what it then shows.
struct Offer {
    committed: Bytes,
    revealed: Option<Bytes>,
}

impl Offer {
    fn honest(payload: Bytes) -> Self {
        Self { revealed: Some(payload.clone()), committed: payload }
    }
}

impl<'stage> ArenaPeer<'stage> {
    pub(crate) async fn enter(
        stage: &'stage Arena,
        identity: Keypair,
        character: Behaviour,
    ) -> Result<Self, CommsError> {
        stage.sleep(character.arrival).await;
        let run = stage.open().await?;
        let dice = SeededRng::named(stage.seed(), &identity.peer().to_string(), 2);
        let member = PeerClient::new(run.clone(), identity);
        member.join_request().await?;
        Ok(Self {
            stage,
            character,
            member,
            light_client: LightClient::genesis(run),
            weights: Regression::genesis(),
            history: Vec::new(),
            last: BTreeMap::new(),
            feedback: ToyFeedback::new(),
            dice,
        })
    }

    /// Takes part until the run is over.
    pub(crate) async fn live(mut self) -> Result<(), CommsError> {
        let forever = Timestamp::from_micros(u64::MAX >> 1);
        loop {
            while let Some(manifest) = self.light_client.poll().await? {
                self.absorb(&manifest).await?;
            }
            if self.stage.is_over(self.light_client.next()) {
                return Ok(());
            }
            self.member.heartbeat(self.light_client.next(), self.light_client.head()).await?;
            if self.light_client.slot(self.member.peer()).is_some() {
                self.contribute().await?;
            }
            if let Some(manifest) = self.light_client.wait(POLL, forever).await? {
                self.absorb(&manifest).await?;
            }
        }
    }

    async fn absorb(&mut self, manifest: &Manifest) -> Result<(), CommsError> {
        let payloads = self.light_client.gather(manifest).await?;
        let parsed =
            |(peer, payload): (PeerId, Bytes)| Some((peer, ToyDelta::parse(&payload).ok()?));
        self.last = payloads.into_iter().filter_map(parsed).collect();
        self.history.push(self.weights.clone());
        apply(&mut self.weights, &self.last, manifest.outer().alpha);
        Ok(())
    }

    /// How the peer cheats in this round, if it does.
    fn attack_now(&self) -> Option<Attack> {
        self.character.attack.map(|attack| attack.in_round(self.light_client.next()))
    }

    async fn contribute(&mut self) -> Result<(), CommsError> {
        let (round, head) = (self.light_client.next(), self.light_client.head());
        let is_slow = self.character.slow_every.is_some_and(|every| round.0.is_multiple_of(every));
        let is_late = is_slow || self.attack_now() == Some(Attack::Late);
        let training = 30.0 + 30.0 * self.dice.fraction() + if is_late { 285.0 } else { 0.0 };
        self.stage.sleep(Duration::from_secs_f64(training)).await;
        let offer = match self.attack_now() {
            None => Offer::honest(self.honest().to_bytes()),
            Some(attack) => self.attack(attack).await,
        };
        self.member.commit(round, head, &offer.committed).await?;
        if self.character.leaks
            && let Ok(delta) = ToyDelta::parse(&offer.committed)
        {
            self.stage.leak(round, delta);
        }
        self.reveal(offer).await
    }

    /// Publishes the delta once nobody can copy it any more, unless the round is over before.
    async fn reveal(&mut self, offer: Offer) -> Result<(), CommsError> {
        let (round, head) = (self.light_client.next(), self.light_client.head());
        let Some(payload) = offer.revealed else { return Ok(()) };
        while !self.member.may_reveal(round, head).await? {
            if self.light_client.clone().poll().await?.is_some() {
                return Ok(());
            }
            self.stage.sleep(POLL).await;
        }
        let base = match (self.attack_now(), self.light_client.last()) {
            (Some(Attack::WrongBase), Some(last)) => last.previous(),
            _ => head,
        };
        self.member.publish(round, base, payload).await.map(drop)
    }

    /// What one learns who does his work.
    fn honest(&mut self) -> ToyDelta {
        let step = self.train(0..ASSIGNED);
        self.feedback.compress(&step)
    }

    fn train(&self, windows: std::ops::Range<u64>) -> ToyWeights {
        let source = SampleSource::Peer(self.light_client.next(), self.member.peer());
        self.stage.problem().train(&self.weights, source, windows)
    }

    async fn attack(&mut self, attack: Attack) -> Offer {
        let round = self.light_client.next();
        let delta = match attack {
            Attack::Noise => noise(self.honest().norm(), &mut self.dice),
            Attack::SignFlip => negated(self.honest()),
            Attack::Alternates if round.0.is_multiple_of(2) => negated(self.honest()),
            Attack::Scaled(factor) => scaled(self.honest(), factor),
            Attack::CopiesPrevious(evasion) => self.copy_of_last(evasion),
            Attack::CopiesLeak(evasion) => self.copy_of_leak(evasion).await,
            Attack::Stale(rounds) => self.stale(rounds),
            Attack::OtherData => {
                let first = self.dice.bits() >> 30;
                let step = self.stage.problem().train(
                    &self.weights,
                    SampleSource::Nobody,
                    first..first + ASSIGNED,
                );
                self.feedback.compress(&step)
            }
            Attack::FreeRider => ToyDelta::of(&self.train(0..1)),
            Attack::Colludes => self.shared().await,
            _ => self.honest(),
        };
        let payload = delta.to_bytes();
        match attack {
            Attack::Withholds => Offer { committed: payload, revealed: None },
            Attack::Malformed if round.0.is_multiple_of(7) => {
                let other = noise(1.0, &mut self.dice).to_bytes();
                Offer { committed: payload, revealed: Some(other) }
            }
            Attack::Malformed => {
                Offer::honest(nonsense(round.0, &delta, self.stage.max_delta(), &mut self.dice))
            }
            _ => Offer::honest(payload),
        }
    }

    fn copy_of_last(&mut self, evasion: Evasion) -> ToyDelta {
        let own = self.member.peer();
        let victim =
            self.last.iter().find(|(peer, _)| **peer != own).map(|(_, delta)| delta.clone());
        match victim {
            Some(victim) => evasion.apply(&victim, &mut self.dice),
            None => self.honest(),
        }
    }

    async fn copy_of_leak(&mut self, evasion: Evasion) -> ToyDelta {
        match self.stage.wait_for_leak(self.light_client.next()).await {
            Some(victim) => {
                self.stage.sleep(COPYING).await;
                evasion.apply(&victim, &mut self.dice)
            }
            None => self.honest(),
        }
    }

    /// The first of a gang works; the others wait for what it learned.
    async fn shared(&mut self) -> ToyDelta {
        let round = self.light_client.next();
        if let Some(delta) = self.stage.loot(round) {
            return delta;
        }
        let delta = self.honest();
        self.stage.share_loot(round, delta.clone());
        delta
    }

    fn stale(&mut self, rounds: u32) -> ToyDelta {
        let source = SampleSource::Peer(self.light_client.next(), self.member.peer());
        let at = self.history.len().saturating_sub(rounds as usize);
        let start = self.history.get(at).unwrap_or(&self.weights);
        let step = self.stage.problem().train(start, source, 0..ASSIGNED);
        self.feedback.compress(&step)
    }
}

fn negated(mut delta: ToyDelta) -> ToyDelta {
    delta.scale = -delta.scale;
    delta
}

fn scaled(mut delta: ToyDelta, factor: f32) -> ToyDelta {
    delta.scale *= factor;
    delta
}
