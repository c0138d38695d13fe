//! Damage to a log in a bucket: an audit reports each kind, and none stops the log.

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

/// A log of five entries in a bucket that a test can change at will.
struct DamagedLog {
    clock: VirtualClock,
    shared: Arc<dyn Clock>,
    bucket: Arc<dyn Bucket>,
}

impl DamagedLog {
    fn new() -> Self {
        let (clock, shared) = clock();
        let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(shared.clone()));
        let log = Self { clock, shared, bucket };
        for secret in 10..15 {
            log.register(secret);
        }
        log
    }

    fn reader(&self) -> Arc<dyn Ledger> {
        log(&self.bucket, &self.shared, 0)
    }

    fn register(&self, secret: u8) -> u64 {
        let mut client = LedgerClient::new(self.reader());
        self.clock.run(client.register(&identity(secret), None)).unwrap().unwrap()
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

    /// The position of the next entry.
    fn end(&self) -> EntryPosition {
        let LedgerAudit { num_entries: number, head, .. } = self.audit(None);
        EntryPosition { run: run(), number, after: head.unwrap() }
    }

    /// The numbers of the invalid entries, and the reason for the first.
    fn invalid(&self) -> (Vec<u64>, Rejection) {
        let findings = self.audit(None).findings;
        let (numbers, rejections): (Vec<_>, Vec<_>) = findings
            .into_iter()
            .filter_map(|finding| match finding {
                AuditFinding::Invalid { number, rejection } => Some((number, rejection)),
                _ => None,
            })
            .unzip();
        (numbers, rejections.into_iter().next().unwrap())
    }

    fn position_of(&self, number: u64) -> EntryPosition {
        Entry::parse(&self.object(number)).map(|entry| *entry.position()).unwrap()
    }

    /// Checks that the peer with this secret can still register.
    fn assert_registers(&self, secret: u8) {
        self.register(secret);
        assert!(self.audit(None).state.is_registered(identity(secret).peer()));
    }

    /// Checks that the next peer can still register.
    fn assert_still_writable(&self) {
        let number = self.register(30);
        let audit = self.audit(None);
        assert_eq!((number, audit.num_entries), (audit.num_entries - 1, number + 1));
        assert!(audit.state.is_registered(identity(30).peer()));
    }
}

#[test]
fn a_tampered_entry_invalidates_itself_and_all_later_ones() {
    let log = DamagedLog::new();
    let text = String::from_utf8(log.object(2).to_vec()).unwrap();
    log.replace(2, text.replace("null}}", "\"s3://thief\"}}"));
    let (numbers, rejection) = log.invalid();
    assert_eq!(
        (numbers, rejection),
        (vec![2, 3, 4], Rejection::BadSignature { author: identity(12).peer() })
    );
    log.assert_still_writable();
}

#[test]
fn reordered_entries_are_reported() {
    let log = DamagedLog::new();
    let [third, fourth] = [2, 3].map(|number| log.object(number));
    log.replace(2, fourth);
    log.replace(3, third);
    let (numbers, rejection) = log.invalid();
    assert_eq!(
        (numbers, rejection),
        (vec![2, 3, 4], Rejection::WrongNumber { expected: 2, got: 3 })
    );
    log.assert_still_writable();
}

#[test]
fn a_removed_entry_is_reported_before_and_after_the_gap_is_filled() {
    let log = DamagedLog::new();
    log.remove(2);
    assert_eq!(log.audit(None).findings, [AuditFinding::Gap { missing: 2, next: 3 }]);
    // The next writer fills the gap; the entries after it still name the removed one.
    log.register(30);
    let expected = Entry::open(&log.object(2), &log.position_of(2)).unwrap().digest();
    let (numbers, rejection) = log.invalid();
    assert_eq!(numbers, [3, 4]);
    assert!(
        matches!(rejection, Rejection::WrongPredecessor { expected: now, .. } if now == expected),
        "{rejection}"
    );
    log.assert_registers(31);
}

#[test]
fn entries_removed_from_the_end_are_reported_to_readers_that_saw_them() {
    let log = DamagedLog::new();
    let head = log.audit(None).head.unwrap();
    assert_eq!(log.audit(Some(head)).findings, []);
    log.remove(4);
    assert_eq!(log.audit(None).findings, []);
    let findings = log.audit(Some(head)).findings;
    assert_eq!(findings, [AuditFinding::Rewritten { expected: head }]);
    assert!(findings[0].is_loss());
}

#[test]
fn a_repeated_entry_is_reported() {
    let log = DamagedLog::new();
    log.replace(5, log.object(1));
    assert_eq!(log.invalid(), (vec![5], Rejection::WrongNumber { expected: 5, got: 1 }));
    log.assert_still_writable();
}

#[test]
fn an_entry_of_another_run_is_reported() {
    let log = DamagedLog::new();
    let other = RunId::of(b"another run");
    let position = EntryPosition { run: other, ..log.end() };
    let foreign =
        Entry::seal(&identity(20), position, Operation::Register { bucket: None }, None).unwrap();
    log.replace(5, foreign.to_bytes());
    assert_eq!(log.invalid(), (vec![5], Rejection::OtherRun { expected: run(), got: other }));
    log.assert_still_writable();
}

#[test]
fn an_entry_signed_for_another_history_is_reported() {
    let log = DamagedLog::new();
    let position = EntryPosition { after: Digest::of(b"another history"), ..log.end() };
    let entry =
        Entry::seal(&identity(20), position, Operation::Register { bucket: None }, None).unwrap();
    log.replace(5, entry.to_bytes());
    let (numbers, rejection) = log.invalid();
    assert_eq!(numbers, [5]);
    assert!(matches!(rejection, Rejection::WrongPredecessor { .. }), "{rejection}");
    log.assert_still_writable();
}

#[test]
fn garbage_is_reported_and_skipped() {
    let log = DamagedLog::new();
    let padded = [log.object(4).as_ref(), b" "].concat();
    let large = vec![b' '; Entry::MAX_LENGTH + 1];
    for (number, body) in (5..).zip([b"".to_vec(), b"{}".to_vec(), vec![0xff; 100], padded, large])
    {
        log.replace(number, body);
    }
    let findings = log.audit(None).findings;
    let rejections = findings.into_iter().map(|finding| match finding {
        AuditFinding::Invalid { number, rejection } => (number, rejection),
        other => panic!("{other:?}"),
    });
    let rejections: Vec<_> = rejections.collect();
    assert!(matches!(rejections[0], (5, Rejection::NotReadable { .. })), "{rejections:?}");
    assert!(matches!(rejections[1], (6, Rejection::NotReadable { .. })), "{rejections:?}");
    assert!(matches!(rejections[2], (7, Rejection::NotReadable { .. })), "{rejections:?}");
    assert_eq!(rejections[3], (8, Rejection::NotCanonical));
    let (limit, got) = (Entry::MAX_LENGTH as u64, Entry::MAX_LENGTH as u64 + 1);
    assert_eq!(rejections[4], (9, Rejection::TooLarge { got, limit }));
    log.assert_still_writable();
}

#[test]
fn objects_beyond_the_end_do_not_stop_the_log() {
    let log = DamagedLog::new();
    log.replace(u64::MAX, b"nonsense".to_vec());
    log.replace(6, b"nonsense".to_vec());
    assert_eq!(log.audit(None).findings, [AuditFinding::Gap { missing: 5, next: 6 }]);
    log.assert_registers(30);
    log.assert_registers(31);
    assert_eq!(log.audit(None).num_entries, 8);
}

#[test]
fn an_operation_that_its_author_may_not_perform_has_no_effect() {
    let log = DamagedLog::new();
    let reader = log.reader();
    let outsider = identity(99);
    let leave = reader.append(&outsider, Operation::Leave {}, None);
    assert_eq!(log.clock.run(leave).unwrap().unwrap(), 5);
    let before = log.audit(None);
    let rejection = Rejection::NotRegistered { peer: outsider.peer() };
    assert_eq!(before.findings, [AuditFinding::WithoutEffect { number: 5, rejection }]);
    assert!(!before.findings[0].is_loss());
    assert_eq!(before.state.registered().count(), 5);
    assert_eq!(before.state.validator_set(), &genesis().validator_set);
    log.assert_still_writable();
}
