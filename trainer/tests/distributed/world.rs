//! A small run with its peers and validators.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Duration;

use covey::config::layers::{Layers, Purpose};
use covey::config::schema::Config;
use covey::run::peer::{PeerSetup, RoundLoop, RunEnd};
use covey::run::validator::{DeltaEvaluator, Validation, ValidatorSetup};
use covey::run::{
    Connection, Instruments, Limits, NewRun, OwnBucket, RoundVerification, RunSpec, SyncedState,
    Verification, assignment,
};
use covey::training::checkpoint::newest_intact;
use covey::training::learner::Learner;
use covey::training::{MetricsEntry, MetricsLog, RoundReport};
use covey_comms::agreement::ValidatorSet;
use covey_comms::bucket::{Bucket, BucketError};
use covey_comms::primitives::{Clock, Keypair};
use covey_comms::run::{Opener, Run};
use covey_data::dataset::Dataset;
use rayon::ThreadPool;
use tempfile::TempDir;

/// Inner steps of a round.
pub(crate) const INNER_STEPS: u64 = 3;

/// A run in a bucket, and a folder for each participant.
pub(crate) struct World {
    home: TempDir,
    pub(crate) clock: Arc<dyn Clock>,
    /// Number of validators, and number of them that must agree.
    validator_set: (u8, u32),
    config: Config,
    /// The separate buckets of peers, by peer number.
    own_buckets: BTreeMap<u8, Arc<dyn Bucket>>,
    /// A reader, and the peer with the bucket that this reader cannot open.
    cut_off: Option<(u8, u8)>,
}

/// Number of the first validator. Validators have keys and folders by number, like peers.
pub(crate) const VALIDATOR: u8 = 200;

/// The settings of one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) number: u8,
    pub(crate) threads: usize,
    pub(crate) micro_batch: usize,
    pub(crate) device: &'static str,
}

impl World {
    /// A run of `rounds` rounds that starts with `peers` peers.
    pub(crate) fn new(clock: Arc<dyn Clock>, rounds: u64, peers: u32) -> Self {
        Self::with_deadline(clock, rounds, peers, Duration::from_secs(3600))
    }

    /// The same with a commit deadline.
    pub(crate) fn with_deadline(
        clock: Arc<dyn Clock>,
        rounds: u64,
        peers: u32,
        deadline: Duration,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        make_data(home.path());
        let settings = [
            ("model.hidden_size", "32".to_owned()),
            ("model.intermediate_size", "64".to_owned()),
            ("model.num_hidden_layers", "1".to_owned()),
            ("model.num_attention_heads", "2".to_owned()),
            ("model.num_key_value_heads", "1".to_owned()),
            ("data.sequence_length", "16".to_owned()),
            ("train.batch_size", "4".to_owned()),
            ("train.steps", (rounds * INNER_STEPS).to_string()),
            ("train.eval_every", "none".to_owned()),
            ("rounds.inner_steps", INNER_STEPS.to_string()),
            ("rounds.min_peers", peers.to_string()),
            ("rounds.max_included", "8".to_owned()),
            ("rounds.commit_deadline", deadline.as_secs().to_string()),
            ("rounds.checkpoint_every", "2".to_owned()),
            // Short, so a late joiner is included before the run ends.
            ("rounds.join_warmup_steps", "6".to_owned()),
            // So few steps on so little text change the loss by chance only.
            ("gauntlet.min_gain_ratio", "0".to_owned()),
            ("gauntlet.norm_ratio", "1000".to_owned()),
        ];
        let layers = settings
            .iter()
            .fold(Layers::new(), |layers, (key, value)| layers.flag("test", key, value));
        let layers = layers.sources_flag("test", &[home.path().join("data")]);
        let config = layers.resolve(Purpose::Train).unwrap().config;
        Self {
            home,
            clock,
            validator_set: (1, 1),
            config,
            own_buckets: BTreeMap::new(),
            cut_off: None,
        }
    }

    /// The configuration of the run.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The same run with other settings.
    pub(crate) fn adjusted(mut self, adjust: impl FnOnce(&mut Config)) -> Self {
        adjust(&mut self.config);
        self
    }

    /// The same run with `count` validators, of which `threshold` must agree.
    pub(crate) fn with_validators(self, count: u8, threshold: u32) -> Self {
        Self { validator_set: (count, threshold), ..self }
    }

    /// The same run with a separate bucket for peer `owner`, which peer `reader` cannot open.
    pub(crate) fn with_own_bucket(
        mut self,
        owner: u8,
        bucket: Arc<dyn Bucket>,
        reader: u8,
    ) -> Self {
        self.own_buckets.insert(owner, bucket);
        self.cut_off = Some((reader, owner));
        self
    }

    pub(crate) async fn create(&self, bucket: Arc<dyn Bucket>) {
        let (count, threshold) = self.validator_set;
        let validators =
            (VALIDATOR..VALIDATOR + count).map(|number| identity(number).peer()).collect();
        let validator_set = ValidatorSet::new(validators, threshold).unwrap();
        let foundation = NewRun::new(&self.config, validator_set, true).unwrap();
        let connection =
            Connection { bucket: self.limited(bucket, 0), clock: Arc::clone(&self.clock) };
        foundation.publish(&connection, &identity(VALIDATOR)).await.unwrap();
    }

    /// Closes rounds until the run is complete, as the first validator.
    pub(crate) async fn validate(&self, bucket: Arc<dyn Bucket>) {
        self.validate_as(bucket, VALIDATOR).await;
    }

    /// The same as validator `number`.
    pub(crate) async fn validate_as(&self, bucket: Arc<dyn Bucket>, number: u8) {
        let run = self.open(bucket, number).await;
        let (spec, config, datasets) = self.prepare_machine(&run, number, 4).await;
        let setup = ValidatorSetup { run, spec, config, identity: identity(number), datasets };
        let mut validation = Validation::open(setup).await.unwrap();
        while !validation.is_over() {
            validation.close_round(&AtomicBool::new(false)).await.unwrap();
        }
    }

    /// The parts of a validator, for one that does not follow the protocol.
    pub(crate) async fn validator_parts(
        &self,
        bucket: Arc<dyn Bucket>,
        number: u8,
    ) -> (Run, RunSpec, DeltaEvaluator) {
        let run = self.open(bucket, number).await;
        let (spec, config, datasets) = self.prepare_machine(&run, number, 4).await;
        let replica = SyncedState::enter(&run, &spec).await.unwrap().replica;
        let reader =
            Learner::open(&spec.model, &config, |_, range| Ok(vec![0.0; range.len()])).unwrap();
        let evaluation =
            DeltaEvaluator::new(replica, reader, assignment(&config, &datasets).unwrap());
        (run, spec, evaluation)
    }

    /// Verifies every round, as any reader can.
    pub(crate) async fn verify(&self, bucket: Arc<dyn Bucket>) -> Vec<RoundVerification> {
        const ANYBODY: u8 = 150;
        let run = self.open(bucket, ANYBODY).await;
        let (spec, config, datasets) = self.prepare_machine(&run, ANYBODY, 2).await;
        let reader =
            Learner::open(&spec.model, &config, |_, range| Ok(vec![0.0; range.len()])).unwrap();
        let instruments =
            Instruments { reader, assignment: assignment(&config, &datasets).unwrap() };
        let mut verification = Verification::begin(run, spec, Some(instruments)).await.unwrap();
        let mut findings = Vec::new();
        while let Some(finding) = verification.verify_next().await.unwrap() {
            findings.push(finding);
        }
        findings
    }

    /// The run spec, configuration and data of a machine before it does anything.
    async fn prepare_machine(
        &self,
        run: &Run,
        number: u8,
        micro_batch: usize,
    ) -> (RunSpec, Config, Vec<Dataset>) {
        let spec = RunSpec::read(run).await.unwrap();
        let folder = self.folder(number);
        let own = Layers::new()
            .path_flag("test", "run.output", &folder)
            .flag("test", "train.micro_batch_size", micro_batch)
            .flag("test", "train.eval_every", "none")
            .flag("test", "comms.poll_interval", "0.02");
        let mut config = own.resolve_within(&spec.shared, Purpose::Show).unwrap().config;
        config.data.sources = spec.data(run, &[], &folder.join("data")).await.unwrap();
        let datasets =
            config.data.sources.iter().map(|source| Dataset::open(&source.path).unwrap()).collect();
        (spec, config, datasets)
    }

    /// Takes part until the run is complete, from this peer's newest checkpoint or the bucket's.
    pub(crate) async fn take_part(&self, bucket: Arc<dyn Bucket>, choice: Choice) -> RunEnd {
        let run = self.open(bucket, choice.number).await;
        let (spec, mut config, datasets) =
            self.prepare_machine(&run, choice.number, choice.micro_batch).await;
        config.run.device = choice.device.to_owned();
        let folder = self.folder(choice.number);
        let identity = identity(choice.number);
        let found = newest_intact(&folder).unwrap();
        let url = format!("s3://peer-{}", choice.number);
        let own_bucket = self
            .own_buckets
            .get(&choice.number)
            .map(|own| OwnBucket { url, bucket: Arc::clone(own) });
        let setup = PeerSetup { run, spec, config, identity, own_bucket, datasets };
        let mut peer =
            RoundLoop::enter(setup, found.as_ref().map(|found| &found.checkpoint)).await.unwrap();
        peer.play(&AtomicBool::new(false)).await.unwrap()
    }

    /// The same with separate threads.
    pub(crate) fn peer<'a>(
        &'a self,
        bucket: Arc<dyn Bucket>,
        choice: Choice,
    ) -> impl Future<Output = RunEnd> + 'a {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(choice.threads).build().unwrap();
        Pooled { pool, future: Box::pin(self.take_part(bucket, choice)) }
    }

    async fn open(&self, bucket: Arc<dyn Bucket>, reader: u8) -> Run {
        let run = Run::open(self.limited(bucket, reader.into()), Arc::clone(&self.clock), None)
            .await
            .unwrap();
        run.with_opener(self.opener(reader))
    }

    fn opener(&self, reader: u8) -> Arc<Opener> {
        let (own_buckets, cut_off) = (self.own_buckets.clone(), self.cut_off);
        Arc::new(move |url| {
            let owner = url.trim_start_matches("s3://peer-").parse().unwrap();
            match cut_off == Some((reader, owner)) {
                true => Err(BucketError::Missing { location: url.to_owned() }),
                false => Ok(Arc::clone(&own_buckets[&owner])),
            }
        })
    }

    fn limited(&self, bucket: Arc<dyn Bucket>, seed: u64) -> Arc<dyn Bucket> {
        Limits::new(&self.config.comms, &self.clock).around(bucket, seed)
    }

    fn folder(&self, number: u8) -> PathBuf {
        self.home.path().join(format!("peer-{number}"))
    }

    /// The metrics of a peer, by round.
    pub(crate) fn rounds_of(&self, number: u8) -> BTreeMap<u32, RoundReport> {
        let text = std::fs::read_to_string(MetricsLog::path_in(&self.folder(number))).unwrap();
        let reports = text.lines().filter_map(|line| match serde_json::from_str(line).unwrap() {
            MetricsEntry::Round(report) => Some((report.round, report)),
            _ => None,
        });
        reports.collect()
    }

    /// Compares weights and lineage of all peers after every round that two of them recorded.
    pub(crate) fn assert_same_bits(&self, peers: &[u8]) {
        let mut first: BTreeMap<u32, (u8, RoundReport)> = BTreeMap::new();
        for number in peers {
            let rounds = self.rounds_of(*number);
            assert!(!rounds.is_empty(), "peer {number} wrote nothing");
            for (round, report) in rounds {
                let (other, expected) = first.entry(round).or_insert((*number, report.clone()));
                assert_eq!(
                    report.weights, expected.weights,
                    "round {round}: peers {other} and {number}"
                );
                assert_eq!(
                    report.lineage, expected.lineage,
                    "round {round}: peers {other} and {number}"
                );
            }
        }
        let distinct: std::collections::BTreeSet<_> =
            first.values().map(|(_, report)| &report.weights).collect();
        let moved = first.values().filter(|(_, report)| report.included > 0).count();
        assert_eq!(distinct.len(), moved + 1, "every round except void ones changes the weights");
    }
}

/// The key pair of a peer or validator.
pub(crate) fn identity(number: u8) -> Keypair {
    Keypair::from_secret(&[number; 32])
}

/// A future that computes on separate threads.
struct Pooled<'a, T> {
    pool: ThreadPool,
    future: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
}

impl<T: Send> Future for Pooled<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let waker = context.waker().clone();
        let Self { pool, future } = &mut *self;
        // Network and timers belong to the thread that polls, if there is a runtime.
        let runtime = tokio::runtime::Handle::try_current().ok();
        pool.install(|| {
            let _within = runtime.as_ref().map(tokio::runtime::Handle::enter);
            future.as_mut().poll(&mut Context::from_waker(&waker))
        })
    }
}

/// A tokenizer and shards of a few generated documents.
fn make_data(home: &Path) {
    let words = [
        "the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "near", "this", "old",
        "river",
    ];
    std::fs::create_dir(home.join("texts")).unwrap();
    for document in 0..40 {
        let step = 1 + document % (words.len() - 1);
        let text: Vec<&str> =
            (0..200).map(|place| words[(document + place * step) % words.len()]).collect();
        std::fs::write(home.join(format!("texts/{document:02}.txt")), text.join(" ") + ".\n")
            .unwrap();
    }
    run(
        home,
        &["tokenizer", "train", "texts", "--vocab-size", "300", "--output", "tokenizer.json"],
    );
    run(
        home,
        &[
            "prepare",
            "texts",
            "--tokenizer",
            "tokenizer.json",
            "--output",
            "data",
            "--held-out=0.1",
        ],
    );
}

fn run(home: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_covey"))
        .args(arguments)
        .current_dir(home)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
