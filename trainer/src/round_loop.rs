//! What a peer does: round after round of Algorithm 1 of SparseLoCo (Equations 1 and 2 of the Covenant-72B paper), until
//! the run is over or it leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use covey_comms::{CommsError, Follower, Identity, Manifest, Member, PeerId, Published, Round, Run, Seat};
use covey_data::{Assignment, Dataset};
use covey_model::Decoder;
use covey_optim::sparseloco::{Compressor, Delta};

use crate::checkpoint::Checkpoint;
use crate::common_run::connection::OwnBucket;
use crate::common_run::diary::{Bookmark, Diary};
use crate::common_run::founding::assignment;
use crate::common_run::inner_loop::{Ahead, Joined, Stint};
use crate::common_run::peer_state::{Present, Resumed};
use crate::common_run::replica::Replica;
use crate::common_run::standing::{Standing, newest_checkpoint};
use crate::common_run::terms::Terms;
use crate::config::Config;
use crate::device;
use crate::evaluation::HeldOut;
use crate::learner::Learner;
use crate::metrics::{EvalReport, RoundReport};

/// How long a peer waits before it looks whether it was asked to stop.
const SLICE: Duration = Duration::from_millis(500);

/// How often a peer that waits says so.
const REMINDER: Duration = Duration::from_secs(60);

/// Why a learner cannot be away.
const AT_HOME: &str = "the learner is away between publication and the next round only";

/// What a peer is made of.
#[derive(Debug)]
pub struct PeerSetup {
    /// The run, opened.
    pub run: Run,
    /// What its peers have agreed on.
    pub terms: Terms,
    /// The same with what this machine chooses for itself.
    pub config: Config,
    /// Who this peer is.
    pub identity: Identity,
    /// The bucket that it brings, if it does not use the run's.
    pub own_bucket: Option<OwnBucket>,
    /// The run's data sets, in its order.
    pub datasets: Vec<Dataset>,
}

/// How a peer's part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The run has made all its steps.
    Finished,
    /// The peer was asked to stop, and has told the others.
    Left,
}

/// One peer of a common run.
pub struct Peer {
    terms: Terms,
    config: Config,
    follower: Follower,
    member: Member,
    /// Where others find its deltas, if not in the run's bucket.
    own_url: Option<String>,
    /// The shared weights at the start of the round: theta.
    replica: Replica,
    /// Away while it trains ahead.
    learner: Option<Learner>,
    ahead: Option<Ahead>,
    /// Error feedback and what makes deltas of it.
    compressor: Compressor,
    assignment: Arc<Assignment>,
    held_out: Option<HeldOut>,
    /// The delta whose round has not been decided.
    pending: Option<Delta>,
    /// A step whose weights are to be measured as soon as the learner is back.
    unmeasured: Option<u64>,
    /// Inner steps of this peer, over all starts.
    steps: u64,
    /// Its step from which the learning rate rises, if it joined late.
    warmup_from: Option<u64>,
    diary: Diary,
    laps: Laps,
}

/// What a round cost so far.
#[derive(Clone, Copy, Debug, Default)]
struct Laps {
    train: Duration,
    exchange: Duration,
    wait: Duration,
    bytes_sent: u64,
}

impl Peer {
    /// Enters a run: from the newest checkpoint of the bucket, or from this peer's own.
    ///
    /// # Errors
    /// A bucket or a history that cannot be trusted, data without windows, a folder that cannot be written.
    pub async fn enter(setup: PeerSetup, own: Option<&Checkpoint>) -> anyhow::Result<Self> {
        let PeerSetup { run, terms, config, identity, own_bucket, datasets } = setup;
        let resumed = own.map(|checkpoint| Resumed::read(checkpoint, run.id(), &terms)).transpose()?;
        let Standing { follower, replica } = match &resumed {
            Some(resumed) => Standing {
                follower: Follower::resume(run.clone(), resumed.position.clone()),
                replica: Replica::new(resumed.weights.clone(), &config.sparseloco())?,
            },
            None => Standing::enter(&run, &terms).await?,
        };
        let bookmark = resumed.as_ref().zip(own).map(|(resumed, checkpoint)| Bookmark {
            steps: resumed.steps,
            round: resumed.position.next.0,
            elapsed: checkpoint.state().elapsed,
        });
        let decoder = Decoder::new(terms.model.clone(), &device::open(&config.run.device)?);
        let shown = follower.outer_steps() * config.rounds.inner_steps;
        let mut peer = Self {
            diary: Diary::open(&config, shown, bookmark.as_ref())?,
            learner: Some(learner(decoder, &config, resumed.as_ref())),
            ahead: None,
            compressor: Compressor::new(Arc::clone(replica.schema()), config.sparseloco().decay),
            assignment: Arc::new(assignment(&config, &datasets)?),
            held_out: held_out(&config, &datasets)?,
            member: member(run, identity, own_bucket.as_ref()),
            own_url: own_bucket.map(|own| own.url),
            // Whoever joins a run that has moved on brings empty moments along.
            warmup_from: (follower.outer_steps() > 0).then_some(0),
            pending: None,
            unmeasured: None,
            steps: 0,
            laps: Laps::default(),
            terms,
            config,
            follower,
            replica,
        };
        match resumed {
            Some(resumed) => peer.take_up(resumed)?,
            None => peer.evaluate(shown)?,
        }
        Ok(peer)
    }

    /// Puts back what this peer had when it was stopped.
    fn take_up(&mut self, resumed: Resumed) -> anyhow::Result<()> {
        if !resumed.error_feedback.is_empty() {
            self.compressor.restore(self.replica.to_schema(resumed.error_feedback))?;
        }
        self.pending = resumed.delta.map(|payload| self.replica.codec().decode(&payload)).transpose()?;
        self.steps = resumed.steps;
        self.warmup_from = resumed.warmup_from;
        Ok(())
    }

    /// The name of this peer.
    pub fn peer(&self) -> PeerId {
        self.member.peer()
    }

    /// The shared weights as this peer holds them.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The history that this peer has verified.
    pub fn follower(&self) -> &Follower {
        &self.follower
    }

    /// Plays rounds until the run is over or `interrupt` is raised; all is saved then.
    ///
    /// # Errors
    /// Whatever makes it impossible to go on; a later start goes on from the last round.
    pub async fn play(&mut self, interrupt: &AtomicBool) -> anyhow::Result<Ending> {
        match &self.own_url {
            Some(url) => self.member.hello_from(url).await?,
            None => self.member.hello().await?,
        }
        if self.pending.is_some() {
            self.publish().await?;
            if let Some(seat) = self.follower.seat(self.member.peer()) {
                self.train_ahead(seat)?;
            }
            self.await_decision(interrupt).await?;
        }
        loop {
            self.catch_up().await?;
            if self.follower.outer_steps() >= self.terms.outer_steps() {
                return self.finish();
            }
            if interrupt.load(Ordering::SeqCst) {
                return self.leave().await;
            }
            match self.follower.seat(self.member.peer()) {
                Some(seat) => self.play_round(seat, interrupt).await?,
                None => self.ask_for_a_seat(interrupt).await?,
            }
        }
    }

    /// One round.
    async fn play_round(&mut self, seat: Seat, interrupt: &AtomicBool) -> anyhow::Result<()> {
        let (round, base) = (self.follower.next(), self.follower.head());
        self.member.heartbeat(round, base).await?;
        let Some(pseudo_gradient) = self.inner_steps(round, seat, interrupt)? else { return Ok(()) };
        let start = Instant::now();
        let slices: Vec<&[f32]> = pseudo_gradient.iter().map(Vec::as_slice).collect();
        self.pending = Some(self.compressor.compress(&slices)?);
        self.save()?;
        self.laps.exchange += start.elapsed();
        self.publish().await?;
        self.train_ahead(seat)?;
        self.await_decision(interrupt).await
    }

    /// What H inner steps make of the shared weights: start minus end, in the order of the schema. Nothing, if this peer
    /// was asked to stop in between.
    fn inner_steps(
        &mut self,
        round: Round,
        seat: Seat,
        interrupt: &AtomicBool,
    ) -> anyhow::Result<Option<Vec<Vec<f32>>>> {
        if let Some(ahead) = self.ahead.take() {
            if ahead.stint.round == round {
                return self.rejoin(ahead);
            }
            self.learner = Some(ahead.discard()?);
        }
        let start = Instant::now();
        let stint = self.stint(round, seat, self.follower.outer_steps());
        let Self { learner, replica, assignment, config, diary, .. } = self;
        let learner = learner.as_mut().expect(AT_HOME);
        learner.set_weights(replica.weights().map(|tensor| tensor.values.as_slice()));
        if !stint.train(learner, assignment, config, interrupt, |line| diary.step(line))? {
            return Ok(None);
        }
        let pseudo_gradient = replica.minus(&learner.named_weights());
        self.steps += self.config.rounds.inner_steps;
        self.laps.train = start.elapsed();
        Ok(Some(pseudo_gradient))
    }

    fn stint(&self, round: Round, seat: Seat, outer_steps: u64) -> Stint {
        let schedule = outer_steps * self.config.rounds.inner_steps;
        Stint { round, seat, schedule, own: self.steps, warmup_from: self.warmup_from }
    }

    /// Begins the next round while this one is exchanged, if the run wants it so (`rounds.overlap`).
    ///
    /// Others' deltas are not known yet, so it starts from the shared weights and this peer's own delta. What it learns
    /// is published against the weights of its own round, one round late. Seats of that round are not known either: this
    /// one's count.
    fn train_ahead(&mut self, seat: Seat) -> anyhow::Result<()> {
        let outer_steps = self.follower.outer_steps();
        let next = self.follower.next().next().filter(|_| outer_steps + 1 < self.terms.outer_steps());
        let (Some(delta), Some(round), true) = (&self.pending, next, self.config.rounds.overlap) else { return Ok(()) };
        let rate = self.config.sparseloco().outer_learning_rate.rate(outer_steps);
        let start = self.replica.moved_by(delta, rate);
        let stint = self.stint(round, seat, outer_steps + 1);
        let learner = self.learner.take().expect(AT_HOME);
        self.ahead = Some(Ahead::start(stint, start, learner, Arc::clone(&self.assignment), self.config.clone())?);
        Ok(())
    }

    /// Takes the learner back that has trained ahead.
    fn rejoin(&mut self, ahead: Ahead) -> anyhow::Result<Option<Vec<Vec<f32>>>> {
        let Joined { learner, outcome, lines, start, seconds } = ahead.join()?;
        let trained = learner.named_weights();
        self.learner = Some(learner);
        lines.into_iter().try_for_each(|line| self.diary.step(line))?;
        outcome?;
        let pseudo_gradient = self.replica.difference(start.iter(), &trained);
        self.steps += self.config.rounds.inner_steps;
        self.laps.train = seconds;
        if let Some(shown) = self.unmeasured.take() {
            self.evaluate(shown)?;
        }
        Ok(Some(pseudo_gradient))
    }

    /// The learner, wherever it was.
    fn bring_home(&mut self) -> anyhow::Result<()> {
        if let Some(ahead) = self.ahead.take() {
            self.learner = Some(ahead.discard()?);
        }
        Ok(())
    }

    /// Publishes the delta that is pending.
    async fn publish(&mut self) -> anyhow::Result<()> {
        let Some(delta) = &self.pending else { return Ok(()) };
        let start = Instant::now();
        let payload = self.replica.codec().encode(delta)?;
        self.laps.bytes_sent = payload.len() as u64;
        match self.member.publish(self.follower.next(), self.follower.head(), payload.into()).await {
            // What was said first may be gone, if the round was decided long ago.
            Ok(Published::Stored) | Err(CommsError::DeltaGone { .. }) => {}
            Ok(Published::Occupied(payload)) => {
                // Said in a life that this one does not remember: what was said first counts.
                let said = self.replica.codec().decode(&payload)?;
                self.compressor.replace(delta, &said)?;
                self.pending = Some(said);
            }
            Err(error) => return Err(error.into()),
        }
        self.laps.exchange += start.elapsed();
        Ok(())
    }

    /// Waits until the coordinator has decided on the round, and applies it; or until `interrupt` is raised.
    async fn await_decision(&mut self, interrupt: &AtomicBool) -> anyhow::Result<()> {
        let (start, clock) = (Instant::now(), Arc::clone(self.follower.run().clock()));
        let every = Duration::from_secs_f64(self.config.comms.poll);
        let mut reminder = clock.now() + REMINDER;
        while !interrupt.load(Ordering::SeqCst) {
            if let Some(ahead) = &self.ahead {
                ahead.lines().try_for_each(|line| self.diary.step(line))?;
            }
            if let Some(manifest) = self.follower.wait(every, clock.now() + SLICE.max(every)).await? {
                self.laps.wait += start.elapsed();
                return self.settle(&manifest).await;
            }
            if clock.now() >= reminder {
                self.diary.note(&format!("waiting for the coordinator to close {}", self.follower.next()));
                reminder = clock.now() + REMINDER;
            }
        }
        Ok(())
    }

    /// A peer without a seat shows that it is there; the next manifest gives it one.
    async fn ask_for_a_seat(&mut self, interrupt: &AtomicBool) -> anyhow::Result<()> {
        self.member.heartbeat(self.follower.next(), self.follower.head()).await?;
        self.await_decision(interrupt).await
    }

    /// Applies every round that has been decided meanwhile.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        while let Some(manifest) = self.follower.poll().await? {
            self.settle(&manifest).await?;
        }
        Ok(())
    }

    /// Applies a decision: the own delta comes back if it was left out; clip, average, outer step.
    async fn settle(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        let start = Instant::now();
        let own = self.pending.take();
        let is_in = manifest.included().contains_key(&self.member.peer());
        if let Some(delta) = own.as_ref().filter(|_| self.config.sparseloco.mass_return && !is_in) {
            self.compressor.return_mass(delta)?;
        }
        match self.follower.gather(manifest).await {
            Ok(payloads) => {
                let deltas = self.replica.decode(&payloads)?;
                let skipped = self.replica.apply(manifest, &deltas)?;
                self.warn_of(&skipped);
            }
            Err(error @ CommsError::DeltaGone { .. }) => self.jump(error).await?,
            Err(error) => return Err(error.into()),
        }
        self.laps.exchange += start.elapsed();
        self.record(manifest, own.is_some())?;
        self.evaluate_if_due()
    }

    /// Leaves out rounds whose deltas are no longer kept, by way of the newest checkpoint.
    async fn jump(&mut self, reason: CommsError) -> anyhow::Result<()> {
        let weights = newest_checkpoint(&mut self.follower, &self.terms).await?;
        let weights = weights.ok_or(reason).context("there is no newer checkpoint to go on from")?;
        self.diary.note(&format!("went on from the checkpoint of {}", self.follower.next()));
        self.replica.replace(weights);
        Ok(())
    }

    fn warn_of(&self, skipped: &[String]) {
        for name in skipped {
            self.diary.note(&format!("warning: {name} would no longer be finite and was left as it is"));
        }
    }

    fn record(&mut self, manifest: &Manifest, took_part: bool) -> anyhow::Result<()> {
        let me = self.member.peer();
        let own = match (manifest.included().get(&me), manifest.excluded().get(&me)) {
            (Some(_), _) => "included".to_owned(),
            (None, Some(reason)) => reason.to_string(),
            (None, None) => "none".to_owned(),
        };
        let laps = std::mem::take(&mut self.laps);
        self.diary.round(RoundReport {
            step: self.steps,
            round: manifest.round().0,
            outer_steps: self.follower.outer_steps(),
            lineage: self.follower.head().to_string(),
            weights: self.replica.digest().to_string(),
            included: manifest.included().len(),
            excluded: manifest.excluded().len(),
            own,
            bytes_sent: if took_part { laps.bytes_sent } else { 0 },
            bytes_received: manifest.included().values().map(|inclusion| inclusion.length).sum(),
            train_seconds: laps.train.as_secs_f64(),
            exchange_seconds: laps.exchange.as_secs_f64(),
            wait_seconds: laps.wait.as_secs_f64(),
        })
    }

    /// Measures the shared weights when the run has passed a multiple of `train.eval_every`, and at its end.
    fn evaluate_if_due(&mut self) -> anyhow::Result<()> {
        let Some(every) = self.config.train.eval_every else { return Ok(()) };
        let inner_steps = self.config.rounds.inner_steps;
        let shown = self.follower.outer_steps() * inner_steps;
        let is_last = self.follower.outer_steps() >= self.terms.outer_steps();
        match shown / every > shown.saturating_sub(inner_steps) / every || is_last {
            true => self.evaluate(shown),
            false => Ok(()),
        }
    }

    fn evaluate(&mut self, shown: u64) -> anyhow::Result<()> {
        let Some(held_out) = &self.held_out else { return Ok(()) };
        let Some(learner) = &mut self.learner else {
            self.unmeasured = Some(shown);
            return Ok(());
        };
        learner.set_weights(self.replica.weights().map(|tensor| tensor.values.as_slice()));
        let (decoder, weights) = (learner.decoder(), learner.weights());
        let score = held_out.score(decoder, weights, &AtomicBool::new(false), |_| {})?;
        let report = EvalReport {
            step: self.steps,
            loss: score.loss(),
            bits_per_byte: score.bits_per_byte(),
            perplexity: score.perplexity(),
        };
        self.diary.evaluation(report, shown)
    }

    fn save(&mut self) -> anyhow::Result<()> {
        let learner = self.learner.as_ref().expect(AT_HOME);
        let present = Present {
            run: self.follower.run().id(),
            position: self.follower.position(),
            replica: &self.replica,
            optimizer: learner.optimizer(),
            error_feedback: self.compressor.errors(),
            delta: self.pending.as_ref(),
            steps: self.steps,
            tokens: learner.tokens(),
            warmup_from: self.warmup_from,
            elapsed: self.diary.elapsed(),
        };
        self.diary.save(present, &self.terms)
    }

    /// The run is over: the final weights stay in this peer's folder.
    fn finish(&mut self) -> anyhow::Result<Ending> {
        self.bring_home()?;
        self.save()?;
        self.diary.close()?;
        Ok(Ending::Finished)
    }

    /// Tells the others not to wait. What was published still counts; a round that was under way is trained anew when
    /// this peer comes back.
    async fn leave(&mut self) -> anyhow::Result<Ending> {
        self.member.farewell(self.follower.next(), self.follower.head()).await?;
        self.bring_home()?;
        self.diary.close()?;
        Ok(Ending::Left)
    }
}

fn member(run: Run, identity: Identity, own_bucket: Option<&OwnBucket>) -> Member {
    let member = Member::new(run, identity);
    match own_bucket {
        Some(own) => member.with_bucket(Arc::clone(&own.bucket)),
        None => member,
    }
}

/// A learner whose weights are still to be set; with its moments, if it has any.
fn learner(decoder: Decoder, config: &Config, resumed: Option<&Resumed>) -> Learner {
    let weights = decoder.zeros();
    let learner = Learner::new(decoder, weights, config);
    match resumed {
        Some(resumed) => learner.at(0, resumed.tokens, resumed.optimizer.clone(), config),
        None => learner,
    }
}

fn held_out(config: &Config, datasets: &[Dataset]) -> anyhow::Result<Option<HeldOut>> {
    let (length, most) = (config.data.sequence_length, config.data.held_out_windows as u64);
    let is_measured = config.train.eval_every.is_some();
    Ok(is_measured.then(|| HeldOut::new(datasets, length, most, config.train.micro_batch_size)).transpose()?)
}
