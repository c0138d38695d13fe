//! The way to a bucket, as this machine is configured.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use covey_comms::{
    Access, Bandwidth, BandwidthCap, Bucket, BucketError, ByteBudget, Clock, Creation, Digest, Identity, Location,
    Opener, Retry, RetryPolicy, SystemClock, open, probe, skew,
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
/// # Errors
/// As for [`Connection::open`].
pub fn own_bucket(url: &str, comms: &CommsConfig, clock: &Arc<dyn Clock>) -> anyhow::Result<OwnBucket> {
    let own: Vec<_> =
        std::env::vars().filter_map(|(name, value)| Some((name.strip_prefix("OWN_")?.to_owned(), value))).collect();
    let has_own = own.iter().any(|(name, _)| name.starts_with("AWS_"));
    let access = if has_own { Access::from_variables(own)? } else { Access::from_variables(std::env::vars())? };
    let store = open(&url.parse()?, &access, Arc::clone(clock))?;
    Ok(OwnBucket { url: url.to_owned(), bucket: limited(store, clock, comms, 1) })
}

/// Opens the buckets that other peers bring, as a reader without keys.
///
/// Their addresses come from strangers: folders are refused, and so are addresses of this machine and of its own network,
/// unless the run itself lies in one (`home`).
pub fn strangers(home: &str, comms: &CommsConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<Opener>> {
    let trusts_neighbours = is_near(&home.parse()?);
    let comms = comms.clone();
    Ok(Arc::new(move |url: &str| {
        let location: Location = url.parse()?;
        if !trusts_neighbours && is_near(&location) {
            let reason = "another peer may not send us to this machine or its network".to_owned();
            return Err(BucketError::InvalidUrl { url: url.to_owned(), reason });
        }
        let store = open(&location, &Access::default(), Arc::clone(&clock))?;
        Ok(limited(store, &clock, &comms, 0))
    }))
}

/// Whether a place is on this machine or in a network of its own; names are not looked up.
fn is_near(location: &Location) -> bool {
    let Location::S3 { endpoint, .. } = location else { return true };
    let Some(endpoint) = endpoint else { return false };
    let host = endpoint.split("://").nth(1).unwrap_or(endpoint).split(['/', '?']).next().unwrap_or_default();
    // Keys before an `@` have no business here either.
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match name.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => !is_public(address),
        Ok(std::net::IpAddr::V6(_)) => true,
        Err(_) => host.contains('@') || name == "localhost" || !name.contains('.'),
    }
}

fn is_public(address: std::net::Ipv4Addr) -> bool {
    !(address.is_private() || address.is_loopback() || address.is_link_local() || address.is_unspecified())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_send_us_to_our_neighbours() {
        for near in [
            "/folder",
            "s3://b/p?endpoint=http://127.0.0.1:9000",
            "s3://b?endpoint=http://10.1.2.3",
            "s3://b?endpoint=http://localhost",
            "s3://b?endpoint=http://169.254.169.254/latest",
            "s3://b?endpoint=http://[::1]:80",
            "s3://b?endpoint=http://u:p@store.example.org",
        ] {
            assert!(is_near(&near.parse().unwrap()), "{near}");
        }
        for far in
            ["s3://bucket/prefix", "s3://b?endpoint=https://store.example.org:9000", "s3://b?endpoint=http://8.8.8.8"]
        {
            assert!(!is_near(&far.parse().unwrap()), "{far}");
        }
    }
}
