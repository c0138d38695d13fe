//! What strangers and thieves do to a log in a bucket: every deed is named, and none stops the run.

use std::sync::Arc;

use bytes::Bytes;
use covey_comms::bucket::Bucket;
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::ledger::{
    AuditFinding, Entry, EntryPosition, Ledger, LedgerAudit, LedgerClient, Operation, Rejection,
    audit,
};
use covey_comms::objects::Key;
use covey_comms::primitives::{Clock, Digest, RunId, VirtualClock};

use crate::participants::{clock, genesis, identity, log, run};

/// A log of five entries, and somebody who may do everything to its bucket.
struct Scene {
    clock: VirtualClock,
    shared: Arc<dyn Clock>,
    bucket: Arc<dyn Bucket>,
}

impl Scene {
    fn new() -> Self {
        let (clock, shared) = clock();
        let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(shared.clone()));
        let scene = Self { clock, shared, bucket };
        for secret in 10..15 {
            scene.register(secret);
        }
        scene
    }

    fn reader(&self) -> Arc<dyn Ledger> {
        log(&self.bucket, &self.shared, 0)
    }

    fn register(&self, secret: u8) -> u64 {
        let mut registry = LedgerClient::new(self.reader());
        self.clock.run(registry.register(&identity(secret), None)).unwrap().unwrap()
    }

    fn object(&self, number: u64) -> Bytes {
        self.clock.run(self.bucket.get(&Key::LedgerEntry(number), 1 << 20)).unwrap().unwrap()
    }

    fn remove(&self, number: u64) {
        self.clock.run(self.bucket.delete(&Key::LedgerEntry(number))).unwrap().unwrap();
    }

    fn replace(&self, number: u64, body: impl Into<Bytes>) {
        self.remove(number);
        assert!(
            self.clock
                .run(self.bucket.put_new(&Key::LedgerEntry(number), body.into()))
                .unwrap()
                .unwrap()
                .is_stored()
        );
    }

    fn audit(&self, seen: Option<Digest>) -> LedgerAudit {
        self.clock.run(audit(self.reader().as_ref(), seen)).unwrap().unwrap()
    }

    /// The place of the next entry.
    fn end(&self) -> EntryPosition {
        let LedgerAudit { lines: number, head, .. } = self.audit(None);
        EntryPosition { run: run(), number, after: head.unwrap() }
    }

    /// The numbers of lines that do not verify, and why the first does not.
    fn invalid(&self) -> (Vec<u64>, Rejection) {
        let findings = self.audit(None).findings;
        let invalid = |finding: &AuditFinding| match finding {
            AuditFinding::Invalid { number, rejection } => Some((*number, rejection.clone())),
            _ => None,
        };
        let (numbers, rejections): (Vec<_>, Vec<_>) = findings.iter().filter_map(invalid).unzip();
        (numbers, rejections.into_iter().next().unwrap())
    }

    /// Whoever comes next can register all the same.
    fn goes_on(&self) {
        let number = self.register(30);
        let audit = self.audit(None);
        assert_eq!((number, audit.lines), (audit.lines - 1, number + 1));
        assert!(audit.state.is_member(identity(30).peer()));
    }
}

#[test]
fn a_tampered_entry_is_named_and_takes_those_after_it_along() {
    let scene = Scene::new();
    let text = String::from_utf8(scene.object(2).to_vec()).unwrap();
    scene.replace(2, text.replace("null}}", "\"s3://thief\"}}"));
    let (numbers, rejection) = scene.invalid();
    assert_eq!(
        (numbers, rejection),
        (vec![2, 3, 4], Rejection::BadSignature { author: identity(12).peer() })
    );
    scene.goes_on();
}

#[test]
fn reordered_entries_are_named() {
    let scene = Scene::new();
    let [third, fourth] = [2, 3].map(|number| scene.object(number));
    scene.replace(2, fourth);
    scene.replace(3, third);
    let (numbers, rejection) = scene.invalid();
    assert_eq!(
        (numbers, rejection),
        (vec![2, 3, 4], Rejection::WrongNumber { expected: 2, got: 3 })
    );
    scene.goes_on();
}

#[test]
fn a_dropped_entry_is_named_by_everybody() {
    let scene = Scene::new();
    scene.remove(2);
    assert_eq!(scene.audit(None).findings, [AuditFinding::Gap { missing: 2, next: 3 }]);
    // The next writer fills the gap, and what had followed the lost entry still shows that it is gone.
    scene.register(30);
    let expected = Entry::open(&scene.object(2), &scene.place_of(2)).unwrap().digest();
    let (numbers, rejection) = scene.invalid();
    assert_eq!(numbers, [3, 4]);
    assert!(
        matches!(rejection, Rejection::WrongPredecessor { expected: now, .. } if now == expected),
        "{rejection}"
    );
    scene.goes_on_after(31);
}

impl Scene {
    fn place_of(&self, number: u64) -> EntryPosition {
        Entry::parse(&self.object(number)).map(|entry| *entry.place()).unwrap()
    }

    fn goes_on_after(&self, secret: u8) {
        self.register(secret);
        assert!(self.audit(None).state.is_member(identity(secret).peer()));
    }
}

#[test]
fn entries_taken_off_the_end_are_missed_by_whoever_saw_them() {
    let scene = Scene::new();
    let head = scene.audit(None).head.unwrap();
    assert_eq!(scene.audit(Some(head)).findings, []);
    scene.remove(4);
    assert_eq!(scene.audit(None).findings, []);
    let findings = scene.audit(Some(head)).findings;
    assert_eq!(findings, [AuditFinding::Rewritten { expected: head }]);
    assert!(findings[0].is_loss());
}

#[test]
fn a_replayed_entry_is_named() {
    let scene = Scene::new();
    scene.replace(5, scene.object(1));
    assert_eq!(scene.invalid(), (vec![5], Rejection::WrongNumber { expected: 5, got: 1 }));
    scene.goes_on();
}

#[test]
fn an_entry_of_another_run_is_named() {
    let scene = Scene::new();
    let other = RunId::of(b"another run");
    let place = EntryPosition { run: other, ..scene.end() };
    let foreign =
        Entry::seal(&identity(20), place, Operation::Register { bucket: None }, None).unwrap();
    scene.replace(5, foreign.to_bytes());
    assert_eq!(scene.invalid(), (vec![5], Rejection::OtherRun { expected: run(), got: other }));
    scene.goes_on();
}

#[test]
fn an_entry_made_for_another_history_is_named() {
    let scene = Scene::new();
    let place = EntryPosition { after: Digest::of(b"another history"), ..scene.end() };
    let entry =
        Entry::seal(&identity(20), place, Operation::Register { bucket: None }, None).unwrap();
    scene.replace(5, entry.to_bytes());
    let (numbers, rejection) = scene.invalid();
    assert_eq!(numbers, [5]);
    assert!(matches!(rejection, Rejection::WrongPredecessor { .. }), "{rejection}");
    scene.goes_on();
}

#[test]
fn nonsense_is_named_and_skipped() {
    let scene = Scene::new();
    let padded = [scene.object(4).as_ref(), b" "].concat();
    let large = vec![b' '; Entry::MAX_LENGTH + 1];
    for (number, body) in (5..).zip([b"".to_vec(), b"{}".to_vec(), vec![0xff; 100], padded, large])
    {
        scene.replace(number, body);
    }
    let findings = scene.audit(None).findings;
    let rejection = |finding| match finding {
        AuditFinding::Invalid { number, rejection } => (number, rejection),
        other => panic!("{other:?}"),
    };
    let rejections: Vec<_> = findings.into_iter().map(rejection).collect();
    assert!(matches!(rejections[0], (5, Rejection::NotReadable { .. })), "{rejections:?}");
    assert!(matches!(rejections[1], (6, Rejection::NotReadable { .. })), "{rejections:?}");
    assert!(matches!(rejections[2], (7, Rejection::NotReadable { .. })), "{rejections:?}");
    assert_eq!(rejections[3], (8, Rejection::NotCanonical));
    let (limit, got) = (Entry::MAX_LENGTH as u64, Entry::MAX_LENGTH as u64 + 1);
    assert_eq!(rejections[4], (9, Rejection::TooLarge { got, limit }));
    scene.goes_on();
}

#[test]
fn something_far_beyond_the_end_stops_nobody() {
    let scene = Scene::new();
    scene.replace(u64::MAX, b"nonsense".to_vec());
    scene.replace(6, b"nonsense".to_vec());
    assert_eq!(scene.audit(None).findings, [AuditFinding::Gap { missing: 5, next: 6 }]);
    scene.goes_on_after(30);
    scene.goes_on_after(31);
    assert_eq!(scene.audit(None).lines, 8);
}

#[test]
fn what_its_author_could_not_say_has_no_effect() {
    let scene = Scene::new();
    let reader = scene.reader();
    let outsider = identity(99);
    let leave = reader.append(&outsider, Operation::Leave {}, None);
    assert_eq!(scene.clock.run(leave).unwrap().unwrap(), 5);
    let before = scene.audit(None);
    let rejection = Rejection::NotMember { peer: outsider.peer() };
    assert_eq!(before.findings, [AuditFinding::WithoutEffect { number: 5, rejection }]);
    assert!(!before.findings[0].is_loss());
    assert_eq!(before.state.members().count(), 5);
    assert_eq!(before.state.validator_set(), &genesis().validator_set);
    scene.goes_on();
}
