//! The way to a bucket, as this machine is configured.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use covey_comms::{
    Access, Bandwidth, BandwidthCap, Bucket, ByteBudget, Clock, Creation, Digest, Identity, Location, Retry,
    RetryPolicy, SystemClock, open, probe, skew,
};

use crate::config::CommsConfig;

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
        let [a, b, c, d, e, f, g, h, ..] = random_bytes()?;
        let jitter_seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Ok(Self { bucket: limited(store, &clock, comms, jitter_seed), clock })
    }
}

impl Connection {
    /// Finds out what the bucket makes of a second write, and whether its clock and ours agree.
    ///
    /// # Errors
    /// A clock that is off, or what the store says.
    pub async fn check(&self) -> anyhow::Result<Creation> {
        let probe = probe(self.bucket.as_ref(), nonce()?).await?;
        if let Some(theirs) = probe.store_time {
            skew(self.clock.now(), theirs)?;
        }
        Ok(probe.creation)
    }
}

/// A bucket that tries again, and stays within the limits of this machine.
pub fn limited(
    store: Arc<dyn Bucket>,
    clock: &Arc<dyn Clock>,
    comms: &CommsConfig,
    jitter_seed: u64,
) -> Arc<dyn Bucket> {
    let policy = RetryPolicy { deadline: Duration::from_secs_f64(comms.retry), ..RetryPolicy::default() };
    let cap = BandwidthCap {
        up: comms.upload_limit.and_then(NonZeroU64::new),
        down: comms.download_limit.and_then(NonZeroU64::new),
    };
    let budgeted = ByteBudget::new(store, comms.byte_budget.unwrap_or(u64::MAX));
    let patient = Retry::new(budgeted, Arc::clone(clock), policy, jitter_seed);
    Arc::new(Bandwidth::new(patient, Arc::clone(clock), cap))
}

/// The identity in the file at `path`, a new one if there is none.
///
/// # Errors
/// A file that is no key, that others may read, or that cannot be written.
pub fn identity(path: &Path) -> anyhow::Result<Identity> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    Ok(Identity::load_or_create(path, &random_bytes()?)?)
}

/// A name that nobody has used before.
///
/// # Errors
/// If the system has no randomness to give.
pub fn nonce() -> anyhow::Result<Digest> {
    Ok(Digest::from_bytes(random_bytes()?))
}

fn random_bytes() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}
