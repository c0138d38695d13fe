//! Opening buckets with the limits and keys of this machine.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use covey_comms::bucket::decorators::{
    Budgeted, ByteBudget, RateLimit, RateLimited, RateLimiter, Retry, RetryPolicy,
};
use covey_comms::bucket::location::{Access, Location, open};
use covey_comms::bucket::{Bucket, BucketError, Creation, probe};
use covey_comms::primitives::{Clock, Digest, Keypair, SystemClock};
use covey_comms::run::{Opener, check_clock_skew};

use crate::config::schema::CommsConfig;
use crate::system::error::{Context, Failure, Result};

/// A bucket, and the clock for its timeouts and deadlines.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The bucket with all limits applied.
    pub bucket: Arc<dyn Bucket>,
    /// The clock of this machine.
    pub clock: Arc<dyn Clock>,
}

impl Connection {
    /// Opens the bucket at `url` with the keys in the `AWS_*` variables. No request is sent yet.
    ///
    /// # Errors
    /// An invalid URL, a missing folder, or only one half of a key pair.
    pub fn open(url: &str, comms: &CommsConfig) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let location: Location = url.parse()?;
        let access = Access::from_variables(std::env::vars())?;
        let store = open(&location, &access, Arc::clone(&clock))?;
        Ok(Self { bucket: Limits::new(comms, &clock).around(store, jitter_seed()?), clock })
    }

    /// Probes whether the bucket refuses to overwrite, and compares its clock with the one of this
    /// machine.
    ///
    /// # Errors
    /// A clock that is off, or errors of the store.
    pub async fn check(&self) -> Result<Creation> {
        let probe = probe(self.bucket.as_ref(), nonce()?).await?;
        // With a wrong clock, this machine would misjudge the deadlines of rounds.
        if let Some(theirs) = probe.store_time {
            check_clock_skew(self.clock.now(), theirs)?;
        }
        Ok(probe.creation)
    }
}

/// A separate bucket for the deltas of one peer.
#[derive(Clone, Debug)]
pub struct OwnBucket {
    /// URL at which other peers read it, without keys.
    pub url: String,
    /// The same bucket, opened for writing.
    pub bucket: Arc<dyn Bucket>,
}

/// Opens the separate bucket of this peer with the keys in the `OWN_AWS_*` variables, or in the
/// `AWS_*` variables if none of those is set.
///
/// A folder is announced by its absolute path, because other peers start in other folders.
///
/// # Errors
/// As for [`Connection::open`].
pub fn own_bucket(url: &str, comms: &CommsConfig, clock: &Arc<dyn Clock>) -> Result<OwnBucket> {
    let own: Vec<_> = std::env::vars()
        .filter_map(|(name, value)| Some((name.strip_prefix("OWN_")?.to_owned(), value)))
        .collect();
    // The two sets of variables are never mixed: a key must not go to another store than its own.
    let has_own = own.iter().any(|(name, _)| name.starts_with("AWS_"));
    let access = if has_own {
        Access::from_variables(own)?
    } else {
        Access::from_variables(std::env::vars())?
    };
    let location: Location = url.parse()?;
    let store = open(&location, &access, Arc::clone(clock))?;
    let url = match location {
        Location::Folder(path) => absolute(&path)?,
        _ => url.to_owned(),
    };
    Ok(OwnBucket { url, bucket: Limits::new(comms, clock).around(store, jitter_seed()?) })
}

fn absolute(folder: &Path) -> Result<String> {
    let path =
        std::path::absolute(folder).with_context(|| format!("cannot find {}", folder.display()))?;
    Ok(path.to_str().with_context(|| format!("{} is not UTF-8 text", path.display()))?.to_owned())
}

/// Returns a function that opens the buckets of other peers for reading, without keys.
///
/// The URLs come from peers that may be dishonest. Folders and addresses of this machine and its
/// network are refused, unless the bucket of the run (`home`) is in this network too. All these
/// buckets together stay within the limits of one, so a peer cannot raise the traffic with more
/// buckets.
pub fn peer_buckets_opener(
    home: &str,
    comms: &CommsConfig,
    clock: Arc<dyn Clock>,
) -> Result<Arc<Opener>> {
    let trusts_neighbours = home.parse::<Location>()?.is_near();
    let (limits, jitter_seed) = (Limits::new(comms, &clock), jitter_seed()?);
    Ok(Arc::new(move |url: &str| {
        let location: Location = url.parse()?;
        if !trusts_neighbours && location.is_near() {
            let reason =
                "addresses of this machine and its network are refused if a peer announces them"
                    .to_owned();
            return Err(BucketError::InvalidUrl { url: url.to_owned(), reason });
        }
        // No keys: another peer chose the URL, and its server must not see them.
        let store = open(&location, &Access::default(), Arc::clone(&clock))?;
        Ok(limits.around(store, jitter_seed))
    }))
}

/// Limits on the traffic with one bucket, or with several together.
#[derive(Clone, Debug)]
pub struct Limits {
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    line: RateLimiter,
    shared_budget: ByteBudget,
}

impl Limits {
    /// The configured limits of this machine, with the full byte budget.
    pub fn new(comms: &CommsConfig, clock: &Arc<dyn Clock>) -> Self {
        let cap = RateLimit {
            up: comms.upload_limit.and_then(NonZeroU64::new),
            down: comms.download_limit.and_then(NonZeroU64::new),
        };
        Self {
            clock: Arc::clone(clock),
            retry: RetryPolicy {
                deadline: Duration::from_secs_f64(comms.retry_timeout),
                ..RetryPolicy::default()
            },
            line: RateLimiter::new(cap),
            // No budget is the same as one that is never reached.
            shared_budget: ByteBudget::new(comms.byte_budget.unwrap_or(u64::MAX)),
        }
    }

    /// Wraps `store` to make it retry and stay within these limits, shared with all other
    /// wrapped stores. `jitter_seed` seeds the random pauses between retries.
    pub fn around(&self, store: Arc<dyn Bucket>, jitter_seed: u64) -> Arc<dyn Bucket> {
        // The budget is innermost, so it counts the bytes of every attempt. The rate limit is
        // outermost: waiting for it must not consume the deadline of the retries.
        let budgeted = Budgeted::sharing(store, self.shared_budget.clone());
        let patient = Retry::new(budgeted, Arc::clone(&self.clock), self.retry, jitter_seed);
        Arc::new(RateLimited::on(patient, Arc::clone(&self.clock), self.line.clone()))
    }
}

/// Loads the key pair in the file at `path`, or creates one if the file does not exist.
///
/// # Errors
/// A file that is not a key, that other users may read, or that cannot be written.
pub fn identity(path: &Path) -> Result<Keypair> {
    // The default path is in the output folder, which the first start creates.
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    Ok(Keypair::load_or_create(path, &random_bytes()?)?)
}

/// Returns a random name that no other process uses.
///
/// # Errors
/// If the system has no random numbers.
pub fn nonce() -> Result<Digest> {
    Ok(Digest::from_bytes(random_bytes()?))
}

/// Returns a random seed for the pauses between retries, so machines that failed at the same moment
/// do not retry at the same moment.
pub(super) fn jitter_seed() -> Result<u64> {
    let [a, b, c, d, e, f, g, h, ..] = random_bytes()?;
    Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

fn random_bytes() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(format!("cannot get random numbers from the system: {error}"))
    })?;
    Ok(bytes)
}
