//! Any reader can recompute the decisions of the validators and find the first difference.

use std::sync::Arc;

use bytes::Bytes;
use covey::run::peer::RunEnd;
use covey::run::{Depth, RoundVerification};
use covey_comms::agreement::Certificate;
use covey_comms::agreement::draw::RoundSecret;
use covey_comms::bucket::Bucket;
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::gauntlet::verdict::Verdict;
use covey_comms::gauntlet::{Gauntlet, Observations};
use covey_comms::objects::envelope::{Author, Envelope, Expectation, Kind};
use covey_comms::objects::{Key, Manifest, ManifestBasis, Prefix};
use covey_comms::primitives::{Digest, Round, RunId, VirtualClock};
use futures_util::future::join3;

use crate::same_bits::{ONE, TWO};
use crate::world::{VALIDATOR, World, identity};

const ROUNDS: u64 = 4;
const LAST: Round = Round(ROUNDS as u32);

/// A complete run in a bucket.
struct CompleteRun {
    clock: VirtualClock,
    world: World,
    bucket: Arc<dyn Bucket>,
}

impl CompleteRun {
    /// Runs two peers and one validator, and keeps all checkpoints.
    fn play() -> Self {
        let clock = VirtualClock::default();
        let world = World::new(Arc::new(clock.clone()), ROUNDS, 2);
        let world = world.adjusted(|config| config.rounds.keep_checkpoints = 100);
        let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(Arc::new(clock.clone())));
        let ((), one, two) = on_threads(1, || {
            clock.run(async {
                world.create(Arc::clone(&bucket)).await;
                let [one, two] = [ONE, TWO].map(|choice| world.peer(Arc::clone(&bucket), choice));
                join3(world.validate(Arc::clone(&bucket)), one, two).await
            })
        })
        .expect("every task waits");
        assert_eq!([one, two], [RunEnd::Finished; 2]);
        Self { clock, world, bucket }
    }

    /// Verifies the run with another number of threads.
    fn findings(&self) -> Vec<RoundVerification> {
        on_threads(2, || self.clock.run(self.world.verify(Arc::clone(&self.bucket)))).unwrap()
    }

    /// The first round that differs, and the path of the difference.
    fn first_difference(&self) -> Option<(u32, String)> {
        let findings = self.findings().into_iter();
        findings.filter_map(|finding| Some((finding.round.0, finding.difference?.path))).next()
    }

    fn get(&self, key: Key) -> Bytes {
        self.clock.run(self.bucket.get(&key, u64::MAX)).unwrap().unwrap()
    }

    /// Replaces an object, as only the owner of the bucket can.
    fn replace(&self, key: Key, object: Bytes) {
        let replace = async {
            self.bucket.delete(&key).await.unwrap();
            assert!(self.bucket.put_new(&key, object).await.unwrap().is_stored());
        };
        self.clock.run(replace).unwrap();
    }

    fn verdict(&self, round: Round) -> Verdict {
        let key = Key::Verdict(round, identity(VALIDATOR).peer());
        Verdict::parse(self.envelope(key, Kind::Verdict, round).payload()).unwrap()
    }

    fn envelope(&self, key: Key, kind: Kind, round: Round) -> Envelope {
        let run = RunId::of(&self.get(Key::RunDescription));
        let author = Author::Is(key.owner().unwrap());
        let expectation = Expectation {
            run,
            kind,
            round: Some(round),
            base: None,
            author,
            max_payload: u64::MAX >> 8,
        };
        Envelope::open(&self.get(key), &expectation).unwrap()
    }

    /// Replaces the last verdict by a signed forgery, together with its manifest. `forge_inputs`
    /// changes the observations, from which the outcome is computed correctly; `forge` then changes
    /// the verdict.
    fn forge(
        &self,
        forge_inputs: impl FnOnce(&mut Observations),
        forge: impl FnOnce(&mut Verdict),
    ) {
        let (round, validator) = (LAST, identity(VALIDATOR));
        let rules = self.world.config();
        let gauntlet = Gauntlet::new(rules.gauntlet.clone(), rules.rounds.max_included);
        let before = self.verdict(round.before().unwrap()).outcome.peer_table;
        let mut verdict = self.verdict(round);
        forge_inputs(&mut verdict.inputs);
        verdict.outcome = gauntlet.judge(&before, &verdict.inputs);
        forge(&mut verdict);
        let key = Key::Verdict(round, validator.peer());
        let subject = self.envelope(key, Kind::Verdict, round).header().subject;
        let payload = Bytes::from(verdict.to_bytes());
        let digest = Digest::of(&payload);
        self.replace(key, Envelope::seal(&validator, subject, payload).to_bytes());

        let manifest =
            Certificate::parse(&self.get(Key::Manifest(round))).unwrap().manifest().clone();
        let basis =
            ManifestBasis { proposer: validator.peer(), verdict: digest, weights: verdict.weights };
        let Verdict { inputs, outcome, .. } = verdict;
        let (previous, outer) = (manifest.previous(), inputs.outer);
        let manifest =
            Manifest::new(round, previous, basis, outer, outcome.included, outcome.excluded)
                .unwrap();
        let signature = Certificate::sign(&manifest, subject.run, &validator);
        let certificate = Certificate::new(manifest, [(validator.peer(), signature)].into());
        self.replace(Key::Manifest(round), certificate.to_bytes());
    }
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn every_round_verifies_on_another_number_of_threads() {
    let complete = CompleteRun::play();
    let findings = complete.findings();
    assert_eq!(findings.len() as u64, ROUNDS + 1);
    for finding in findings {
        assert_eq!((finding.difference, finding.depth), (None, Depth::Deltas), "{}", finding.round);
        assert_eq!(finding.signers, [identity(VALIDATOR).peer()]);
    }
}

#[test]
fn rounds_without_deltas_are_verified_by_documents_only() {
    let complete = CompleteRun::play();
    let remove = async {
        for listed in complete.bucket.list(&Prefix::Rounds, None).await.unwrap() {
            if matches!(listed.key, Key::Delta(Round(2), _)) {
                complete.bucket.delete(&listed.key).await.unwrap();
            }
        }
    };
    complete.clock.run(remove).unwrap();
    let findings = complete.findings();
    assert!(findings.iter().all(|finding| finding.difference.is_none()), "{findings:?}");
    let depths: Vec<Depth> = findings.iter().map(|finding| finding.depth).collect();
    let (all, some) = (Depth::Deltas, Depth::Documents);
    // Round 3 is compared with the deltas of round 2. A checkpoint has the weights of round 4.
    assert_eq!(depths, [all, all, some, some, all]);
}

/// The path at which a forgery of the last round is found.
fn path_of_forgery(
    forge_inputs: impl FnOnce(&CompleteRun, &mut Observations),
    forge: impl FnOnce(&mut Verdict),
) -> String {
    let complete = CompleteRun::play();
    complete.forge(|inputs| forge_inputs(&complete, inputs), forge);
    let (round, path) = complete.first_difference().expect("no difference was found");
    assert_eq!(round, LAST.0);
    path.replace(&identity(ONE.number).peer().to_string(), "ONE")
        .replace(&identity(TWO.number).peer().to_string(), "TWO")
}

#[test]
fn an_altered_score_is_named() {
    let path = path_of_forgery(
        |_, _| {},
        |verdict| {
            let mut peer_table = serde_json::to_value(&verdict.outcome.peer_table).unwrap();
            peer_table[identity(ONE.number).peer().to_string()]["score"] = 7.5.into();
            verdict.outcome.peer_table = serde_json::from_value(peer_table).unwrap();
        },
    );
    assert_eq!(path, "outcome.book.ONE.score");
}

#[test]
fn an_altered_loss_is_named() {
    let path = path_of_forgery(
        |_, inputs| {
            inputs.measurements.get_mut(&identity(ONE.number).peer()).unwrap().random.after *= 0.999
        },
        |_| {},
    );
    assert_eq!(path, "inputs.measurements.ONE.random.after");
}

#[test]
fn an_omitted_peer_is_named() {
    let omitted = identity(TWO.number).peer();
    let path = path_of_forgery(
        |_, inputs| {
            inputs.active.remove(&omitted).unwrap();
            inputs.measurements.remove(&omitted).unwrap();
        },
        |_| {},
    );
    assert_eq!(path, "inputs.seated.TWO");
}

#[test]
fn a_swapped_order_is_named() {
    let [one, two] = [ONE, TWO].map(|choice| identity(choice.number).peer());
    let path = path_of_forgery(
        |_, inputs| {
            let (first, second) = (inputs.measurements[&one], inputs.measurements[&two]);
            inputs.measurements.extend([(one, second), (two, first)]);
        },
        |_| {},
    );
    assert!(path.starts_with("inputs.measurements."), "{path}");
}

#[test]
fn a_delta_of_another_peer_is_named() {
    let [one, two] = [ONE, TWO].map(|choice| identity(choice.number).peer());
    let path = path_of_forgery(
        |_, inputs| {
            let foreign = inputs.active[&two].presence;
            inputs.active.get_mut(&one).unwrap().presence = foreign;
        },
        |_| {},
    );
    assert_eq!(path, "inputs.seated.ONE");
}

#[test]
fn a_wrong_secret_is_named() {
    let path = path_of_forgery(
        |complete, inputs| {
            let run = RunId::of(&complete.get(Key::RunDescription));
            inputs.secret = Some(RoundSecret::of(&identity(7), run, inputs.round, inputs.base));
        },
        |_| {},
    );
    assert_eq!(path, "inputs.secret");
}

#[test]
fn other_weights_are_named() {
    let path = path_of_forgery(|_, _| {}, |verdict| verdict.weights = Digest::of(b"other weights"));
    assert_eq!(path, "weights");
}

#[test]
fn unsigned_bytes_are_named() {
    let complete = CompleteRun::play();
    let key = Key::Verdict(LAST, identity(VALIDATOR).peer());
    let mut object = complete.get(key).to_vec();
    *object.last_mut().unwrap() ^= 1;
    complete.replace(key, object.into());
    assert_eq!(complete.first_difference(), Some((LAST.0, "verdict".to_owned())));
}
