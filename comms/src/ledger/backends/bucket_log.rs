//! The ledger in the run's bucket: one object per entry.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bucket::{Bucket, BucketError};
use crate::ledger::entry::{Entry, EntryPosition};
use crate::ledger::error::LedgerError;
use crate::ledger::ledger::{Ledger, NumberedEntry};
use crate::ledger::operation::Operation;
use crate::ledger::rejection::{Rejection, Verified};
use crate::ledger::state::Genesis;
use crate::objects::{Key, Prefix};
use crate::primitives::{Clock, Keypair, SeededRng};

/// Attempts to write an entry before the writer gives up.
///
/// Each lost race means that another entry was written, so the log itself makes progress. With
/// pauses of 1 s on average, 40 attempts outlast a burst of writers by half a minute.
const MAX_ATTEMPTS: u32 = 40;
/// The upper bound of the pause before the second attempt. It doubles with each attempt; the pause
/// is drawn evenly from zero to the bound ("full jitter").
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Entries that are downloaded at the same time.
const READ_AHEAD: usize = 16;

/// A chain of entries under [`Key::LedgerEntry`], starting at the run ID.
///
/// - Each entry names the digest of the last valid entry before it. An entry therefore cannot be
///   changed, moved, repeated or inserted later without invalidating the signatures after it.
/// - Readers skip an invalid object and continue the chain from the last valid entry. An outsider
///   with write access can waste numbers, at the cost of one small request for each reader, but
///   cannot stop the log.
/// - If two writers choose the same number, the bucket accepts one. The other signs again for the
///   next number.
/// - The owner of the bucket can remove entries from the end unnoticed. [`gap`](Ledger::gap) shows
///   the removal of any other entry.
///
/// Entries stay in memory, so each is downloaded and verified once.
#[derive(Debug)]
pub struct BucketLog {
    bucket: Arc<dyn Bucket>,
    genesis: Genesis,
    clock: Arc<dyn Clock>,
    jitter: Mutex<SeededRng>,
    known: Mutex<LogState>,
}

/// The entries that were read, and the position of the next one.
#[derive(Clone, Debug)]
struct LogState {
    entries: Vec<NumberedEntry>,
    next: EntryPosition,
}

impl LogState {
    /// Verifies and adds the next object.
    fn push(&mut self, object: Verified<Bytes>) {
        let entry = object.and_then(|bytes| Entry::open(&bytes, &self.next));
        let number = self.next.number;
        if let Ok(entry) = &entry {
            self.next.after = entry.digest();
        }
        // Saturation is never reached: a list with 2^64 entries does not fit into memory.
        self.next.number = number.saturating_add(1);
        self.entries.push(NumberedEntry { number, entry });
    }
}

impl BucketLog {
    /// The log in `bucket`. Writers should use different seeds for their pauses.
    pub fn new(
        bucket: Arc<dyn Bucket>,
        genesis: Genesis,
        clock: Arc<dyn Clock>,
        jitter_seed: u64,
    ) -> Self {
        let known = LogState { entries: Vec::new(), next: EntryPosition::genesis(genesis.run) };
        Self {
            bucket,
            genesis,
            clock,
            jitter: Mutex::new(SeededRng::new(jitter_seed)),
            known: Mutex::new(known),
        }
    }

    /// The guard must be dropped before every `.await`: other tasks need the lock meanwhile.
    fn known(&self) -> MutexGuard<'_, LogState> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> EntryPosition {
        self.known().next
    }

    /// Reads all new entries up to the first missing number.
    async fn refresh(&self) -> Result<(), LedgerError> {
        let first = self.next().number;
        let numbers = self.listed(first).await?;
        let unbroken = (first..)
            .zip(numbers)
            .take_while(|(expected, got)| expected == got)
            .map(|(number, _)| number);
        // Verified in order only after the download: each entry depends on the one before it.
        let objects: Vec<Option<Verified<Bytes>>> = stream::iter(unbroken)
            .map(|number| self.download(number))
            .buffered(READ_AHEAD)
            .try_collect()
            .await?;
        // An object that was removed after the listing ends the log here, as a gap does.
        self.add(first, objects.into_iter().map_while(|object| object));
        Ok(())
    }

    /// All existing numbers from `first` on, in ascending order, with gaps.
    async fn listed(&self, first: u64) -> Result<Vec<u64>, LedgerError> {
        let before = first.checked_sub(1).map(Key::LedgerEntry);
        let listing = self.bucket.list(&Prefix::Ledger, before.as_ref()).await?;
        let numbers = listing.iter().filter_map(|listed| match listed.key {
            Key::LedgerEntry(number) => Some(number),
            _ => None,
        });
        Ok(numbers.collect())
    }

    async fn download(&self, number: u64) -> Result<Option<Verified<Bytes>>, LedgerError> {
        checked(self.bucket.get(&Key::LedgerEntry(number), Entry::MAX_LENGTH as u64).await)
    }

    /// Adds objects from number `first` on, except those that another task added meanwhile.
    fn add(&self, first: u64, objects: impl Iterator<Item = Verified<Bytes>>) {
        let mut known = self.known();
        for (number, object) in (first..).zip(objects) {
            if number == known.next.number {
                known.push(object);
            }
        }
    }

    /// Reads the object under the next number.
    ///
    /// Not by a listing: listings of some stores lag behind writes, and a writer that lost a race
    /// would try the same number again.
    async fn read_next(&self) -> Result<(), LedgerError> {
        let number = self.next().number;
        let object = self.download(number).await?;
        self.add(number, object.into_iter());
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
        Ok(self.known().entries.get(start..).unwrap_or_default().to_vec())
    }

    async fn append(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError> {
        for attempt in 0..MAX_ATTEMPTS {
            self.refresh().await?;
            let position = self.next();
            let entry = Entry::seal(author, position, operation.clone(), successor)?;
            let put = self
                .bucket
                .put_new(&Key::LedgerEntry(position.number), entry.to_bytes().into())
                .await?;
            // Read back after a success too: other readers see the object in the bucket, not ours.
            self.read_next().await?;
            if put.is_stored() {
                return Ok(position.number);
            }
            self.pause(attempt).await;
        }
        Err(LedgerError::Contended { attempts: MAX_ATTEMPTS })
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

/// Sorts the answer of a bucket: a missing object is `None`, an object that no reader accepts is a
/// [`Rejection`], and only a failure of the bucket is an error.
fn checked(answer: Result<Bytes, BucketError>) -> Result<Option<Verified<Bytes>>, LedgerError> {
    match answer {
        Ok(bytes) => Ok(Some(Ok(bytes))),
        // Depends on the object alone, so all readers skip it.
        Err(BucketError::TooLarge { announced: got, limit, .. }) => {
            Ok(Some(Err(Rejection::TooLarge { got, limit })))
        }
        Err(BucketError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
