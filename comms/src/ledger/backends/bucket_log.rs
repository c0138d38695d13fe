//! The ledger in the run's bucket: one object an entry, each signed for its number and for the entry before it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bucket::{Bucket, BucketError};
use crate::ledger::entry::{Entry, EntryPosition};
use crate::ledger::error::LedgerError;
use crate::ledger::ledger::{Ledger, NumberedEntry};
use crate::ledger::operation::Operation;
use crate::ledger::rejection::Rejection;
use crate::ledger::state::Genesis;
use crate::objects::{Key, Prefix};
use crate::primitives::{Clock, Keypair, SeededRng};

/// How often others may be faster before a writer gives up.
const MOST_ATTEMPTS: u32 = 40;
/// The longest pause before the second attempt; it doubles from there, and the pause is drawn from zero up ("full jitter").
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Entries that are downloaded at the same time.
const READ_AHEAD: usize = 16;

/// What lies under a number.
type LogObject = Result<bytes::Bytes, Rejection>;

/// A chain of entries under [`Key::LedgerEntry`], from the run's id on.
///
/// - An entry names the digest of the last one before it that verifies, so that none can be changed, moved, repeated or
///   put in between afterwards without the signatures of all after it.
/// - What does not verify is skipped: the chain goes on over it, from the last entry that does. Anybody who may write to
///   the bucket can waste numbers so, at the price of a request each for every reader; he cannot stop the log.
/// - Two writers of the same number: the bucket lets one win, the other signs again for the next.
/// - Whoever owns the bucket can take entries off its end. [`gap`](Ledger::gap) tells if he took any other.
///
/// What was read is kept, so every entry is downloaded and verified once.
#[derive(Debug)]
pub struct BucketLog {
    bucket: Arc<dyn Bucket>,
    genesis: Genesis,
    clock: Arc<dyn Clock>,
    jitter: Mutex<SeededRng>,
    known: Mutex<LogState>,
}

/// Everything that was read.
#[derive(Clone, Debug)]
struct LogState {
    lines: Vec<NumberedEntry>,
    next: EntryPosition,
}

impl LogState {
    /// Verifies the next object.
    fn push(&mut self, object: LogObject) {
        let entry = object.and_then(|bytes| Entry::open(&bytes, &self.next));
        let number = self.next.number;
        if let Ok(entry) = &entry {
            self.next.after = entry.digest();
        }
        // The last number of all is never written: a list of so many is not there.
        self.next.number = number.saturating_add(1);
        self.lines.push(NumberedEntry { number, entry });
    }
}

impl BucketLog {
    /// The log in `bucket`; writers should bring different seeds for the pauses after lost races.
    pub fn new(
        bucket: Arc<dyn Bucket>,
        genesis: Genesis,
        clock: Arc<dyn Clock>,
        jitter_seed: u64,
    ) -> Self {
        let known = LogState { lines: Vec::new(), next: EntryPosition::genesis(genesis.run) };
        Self {
            bucket,
            genesis,
            clock,
            jitter: Mutex::new(SeededRng::new(jitter_seed)),
            known: Mutex::new(known),
        }
    }

    /// Never held while something is awaited.
    fn known(&self) -> MutexGuard<'_, LogState> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> EntryPosition {
        self.known().next
    }

    /// Reads on until a number is missing.
    async fn refresh(&self) -> Result<(), LedgerError> {
        let first = self.next().number;
        let numbers = self.listed(first).await?;
        let unbroken = (first..)
            .zip(numbers)
            .take_while(|(expected, got)| expected == got)
            .map(|(number, _)| number);
        let objects: Vec<Option<LogObject>> = stream::iter(unbroken)
            .map(|number| self.download(number))
            .buffered(READ_AHEAD)
            .try_collect()
            .await?;
        self.take_in(first, objects.into_iter().map_while(|object| object));
        Ok(())
    }

    /// The numbers from `first` on that are there, wherever they are.
    async fn listed(&self, first: u64) -> Result<Vec<u64>, LedgerError> {
        let before = first.checked_sub(1).map(Key::LedgerEntry);
        let listing = self.bucket.list(&Prefix::Ledger, before.as_ref()).await?;
        Ok(listing
            .iter()
            .filter_map(
                |listed| {
                    if let Key::LedgerEntry(number) = listed.key { Some(number) } else { None }
                },
            )
            .collect())
    }

    /// What lies under a number; nothing if it is gone again.
    async fn download(&self, number: u64) -> Result<Option<LogObject>, LedgerError> {
        match self.bucket.get(&Key::LedgerEntry(number), Entry::MAX_LENGTH as u64).await {
            Ok(bytes) => Ok(Some(Ok(bytes))),
            Err(BucketError::TooLarge { announced: got, limit, .. }) => {
                Ok(Some(Err(Rejection::TooLarge { got, limit })))
            }
            Err(BucketError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds objects from number `first` on; those that another task took in meanwhile are passed over.
    fn take_in(&self, first: u64, objects: impl Iterator<Item = LogObject>) {
        let mut known = self.known();
        for (number, object) in (first..).zip(objects) {
            if number == known.next.number {
                known.push(object);
            }
        }
    }

    /// Reads what took the number from under a writer, whether listings show it yet or not.
    async fn read_next(&self) -> Result<(), LedgerError> {
        let number = self.next().number;
        let object = self.download(number).await?;
        self.take_in(number, object.into_iter());
        Ok(())
    }

    async fn pause(&self, attempt: u32) {
        let longest = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt)).min(LONGEST_PAUSE);
        let fraction = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).fraction();
        self.clock.sleep_until(self.clock.now() + longest.mul_f64(fraction)).await;
    }
}

#[async_trait]
impl Ledger for BucketLog {
    fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    async fn read(&self, since: u64) -> Result<Vec<NumberedEntry>, LedgerError> {
        self.refresh().await?;
        let start = usize::try_from(since).unwrap_or(usize::MAX);
        Ok(self.known().lines.get(start..).unwrap_or_default().to_vec())
    }

    async fn append(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError> {
        for attempt in 0..MOST_ATTEMPTS {
            self.refresh().await?;
            let place = self.next();
            let entry = Entry::seal(author, place, operation.clone(), successor)?;
            let put = self
                .bucket
                .put_new(&Key::LedgerEntry(place.number), entry.to_bytes().into())
                .await?;
            // Read back in both cases: who won is what all others read.
            self.read_next().await?;
            if put.is_stored() {
                return Ok(place.number);
            }
            self.pause(attempt).await;
        }
        Err(LedgerError::Crowded { attempts: MOST_ATTEMPTS })
    }

    async fn gap(&self) -> Result<Option<(u64, u64)>, LedgerError> {
        self.refresh().await?;
        let missing = self.next().number;
        Ok(self
            .listed(missing)
            .await?
            .into_iter()
            .find(|number| *number > missing)
            .map(|next| (missing, next)))
    }
}
