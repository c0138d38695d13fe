//! The way to a bucket, as this machine is configured.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use covey_comms::bucket::decorators::{
    Budgeted, ByteBudget, RateLimit, RateLimited, RateLimiter, Retry, RetryPolicy,
};
use covey_comms::bucket::location::{Access, Location, open};
use covey_comms::bucket::{Bucket, BucketError, Creation, probe};
use covey_comms::primitives::{Clock, Digest, Keypair, SystemClock};
use covey_comms::run::{Opener, check_clock_skew};

use crate::config::schema::CommsConfig;

/// A bucket and the clock that everything about it goes by.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The bucket behind all limits.
    pub bucket: Arc<dyn Bucket>,
    /// The time of this machine.
    pub clock: Arc<dyn Clock>,
}

impl Connection {
    /// The bucket at `url`, with the keys of the usual `AWS_*` variables; nothing is asked of it yet.
    ///
    /// # Errors
    /// A URL that is none, a folder that is not there, half a pair of keys.
    pub fn open(url: &str, comms: &CommsConfig) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let location: Location = url.parse()?;
        let access = Access::from_variables(std::env::vars())?;
        let store = open(&location, &access, Arc::clone(&clock))?;
        Ok(Self { bucket: Limits::new(comms, &clock).around(store, jitter_seed()?), clock })
    }

    /// Finds out what the bucket makes of a second write, and whether its clock and ours agree.
    ///
    /// # Errors
    /// A clock that is off, or what the store says.
    pub async fn check(&self) -> anyhow::Result<Creation> {
        let probe = probe(self.bucket.as_ref(), nonce()?).await?;
        if let Some(theirs) = probe.store_time {
            check_clock_skew(self.clock.now(), theirs)?;
        }
        Ok(probe.creation)
    }
}

/// A bucket that a peer brings for what it sends.
#[derive(Clone, Debug)]
pub struct OwnBucket {
    /// Where others read it, without keys.
    pub url: String,
    /// The same, to write to.
    pub bucket: Arc<dyn Bucket>,
}

/// The bucket that this peer brings, with the keys of `OWN_AWS_*` variables, or else of the usual ones.
///
/// A folder is announced by its absolute path, because others start from other folders.
///
/// # Errors
/// As for [`Connection::open`].
pub fn own_bucket(
    url: &str,
    comms: &CommsConfig,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<OwnBucket> {
    let own: Vec<_> = std::env::vars()
        .filter_map(|(name, value)| Some((name.strip_prefix("OWN_")?.to_owned(), value)))
        .collect();
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
    Ok(OwnBucket { url, bucket: Limits::new(comms, clock).around(store, 1) })
}

fn absolute(folder: &Path) -> anyhow::Result<String> {
    let path =
        std::path::absolute(folder).with_context(|| format!("cannot find {}", folder.display()))?;
    Ok(path.to_str().with_context(|| format!("{} is not UTF-8 text", path.display()))?.to_owned())
}

/// Opens the buckets that other peers bring, as a reader without keys.
///
/// Their addresses come from strangers: folders are refused, and so are addresses of this machine and of its own network,
/// unless the run itself lies in one (`home`). However many buckets they bring, all together stay within the limits of one.
pub fn peer_buckets_opener(
    home: &str,
    comms: &CommsConfig,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Arc<Opener>> {
    let trusts_neighbours = home.parse::<Location>()?.is_near();
    let limits = Limits::new(comms, &clock);
    Ok(Arc::new(move |url: &str| {
        let location: Location = url.parse()?;
        if !trusts_neighbours && location.is_near() {
            let reason = "another peer may not send us to this machine or its network".to_owned();
            return Err(BucketError::InvalidUrl { url: url.to_owned(), reason });
        }
        let store = open(&location, &Access::default(), Arc::clone(&clock))?;
        Ok(limits.around(store, 0))
    }))
}

/// What the traffic with a bucket may cost this machine, or with several together.
#[derive(Clone, Debug)]
pub struct Limits {
    clock: Arc<dyn Clock>,
    retry: RetryPolicy,
    line: RateLimiter,
    shared_budget: ByteBudget,
}

impl Limits {
    /// The limits that this machine is configured with, nothing spent.
    pub fn new(comms: &CommsConfig, clock: &Arc<dyn Clock>) -> Self {
        let cap = RateLimit {
            up: comms.upload_limit.and_then(NonZeroU64::new),
            down: comms.download_limit.and_then(NonZeroU64::new),
        };
        Self {
            clock: Arc::clone(clock),
            retry: RetryPolicy {
                deadline: Duration::from_secs_f64(comms.retry),
                ..RetryPolicy::default()
            },
            line: RateLimiter::new(cap),
            shared_budget: ByteBudget::new(comms.byte_budget.unwrap_or(u64::MAX)),
        }
    }

    /// A bucket that tries again, and stays within these limits together with all others that were put within them.
    pub fn around(&self, store: Arc<dyn Bucket>, jitter_seed: u64) -> Arc<dyn Bucket> {
        let budgeted = Budgeted::sharing(store, self.shared_budget.clone());
        let patient = Retry::new(budgeted, Arc::clone(&self.clock), self.retry, jitter_seed);
        Arc::new(RateLimited::on(patient, Arc::clone(&self.clock), self.line.clone()))
    }
}

/// The identity in the file at `path`, a new one if there is none.
///
/// # Errors
/// A file that is no key, that others may read, or that cannot be written.
pub fn identity(path: &Path) -> anyhow::Result<Keypair> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    Ok(Keypair::load_or_create(path, &random_bytes()?)?)
}

/// A name that nobody has used before.
///
/// # Errors
/// If the system has no randomness to give.
pub fn nonce() -> anyhow::Result<Digest> {
    Ok(Digest::from_bytes(random_bytes()?))
}

/// A seed of pauses, so that machines that failed together do not come back together.
pub(super) fn jitter_seed() -> anyhow::Result<u64> {
    let [a, b, c, d, e, f, g, h, ..] = random_bytes()?;
    Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

fn random_bytes() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}
