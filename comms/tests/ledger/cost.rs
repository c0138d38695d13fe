//! The cost of reading a long log, as published in `docs/ledger.md`.

use std::sync::Arc;
use std::time::Instant;

use covey_comms::bucket::Bucket;
use covey_comms::bucket::stores::MemoryBucket;
use covey_comms::ledger::{Entry, EntryPosition, Operation, audit};
use covey_comms::objects::Key;

use crate::participants::{clock, identity, log, run};

/// Run with `cargo test --release --package covey-comms --test ledger -- --ignored --nocapture
/// reading`.
#[test]
#[ignore = "a measurement"]
fn reading_is_linear_in_the_entries() {
    for count in [1_000, 10_000] {
        let (clock, shared) = clock();
        let bucket: Arc<dyn Bucket> = Arc::new(MemoryBucket::new(shared.clone()));
        let mut position = EntryPosition::genesis(run());
        let mut bytes = 0;
        for number in 0..count {
            position.number = number;
            let peer = identity((number % 200) as u8);
            let operation = if number < 200 {
                Operation::Register { bucket: None }
            } else {
                Operation::Announce {
                    bucket: Some(format!("s3://bucket/{number}?endpoint=https://host.example")),
                }
            };
            let entry = Entry::seal(&peer, position, operation, None).unwrap();
            position.after = entry.digest();
            bytes += entry.to_bytes().len();
            let key = Key::LedgerEntry(number);
            let put = bucket.put_new(&key, entry.to_bytes().into());
            assert!(clock.run(put).unwrap().unwrap().is_stored());
        }
        let reader = log(&bucket, &shared, 0);
        let start = Instant::now();
        let found = clock.run(audit(reader.as_ref(), None)).unwrap().unwrap();
        let elapsed = start.elapsed();
        assert_eq!(
            (found.num_entries, found.findings, found.state.registered().count()),
            (count, Vec::new(), 200)
        );
        println!(
            "{count} entries, {} bytes each: {elapsed:?}, {:?} each",
            bytes as u64 / count,
            elapsed / count as u32
        );
        let start = Instant::now();
        clock.run(reader.read(count)).unwrap().unwrap();
        println!("no new entries after {count}: {:?}", start.elapsed());
    }
}
