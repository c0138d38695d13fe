//! Where a bucket is, as a URL, and the bucket there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, RetryConfig};
use url::Url;

use super::address_policy;
use super::credentials::Access;
use crate::bucket::bucket::Bucket;
use crate::bucket::error::BucketError;
use crate::bucket::stores::{MemoryBucket, ObjectStoreBucket};
use crate::primitives::Clock;

/// How long a store may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a store may send nothing within an answer. Whole requests are limited by whoever makes them, because a
/// large object on a slow line takes long and is still well.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The checked form of a bucket's URL; it holds no secrets.
///
/// - `s3://bucket/prefix?endpoint=http://host:port&region=name`; the options go before those of [`Access`], the endpoint is
///   an HTTP address without keys and the region a plain word, because both become part of other addresses
/// - `file:///folder`, or a plain path
/// - `memory://`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A part of an S3 bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// What all keys begin with; may be empty.
        prefix: String,
        /// The store's address, if it is not Amazon's.
        endpoint: Option<String>,
        /// The region.
        region: Option<String>,
    },
    /// A folder.
    Folder(PathBuf),
    /// The memory of this process, gone with it.
    Memory,
}

impl Location {
    /// Whether it is on this machine or in its own network, where a stranger may not send us.
    ///
    /// Names are not looked up; a bucket of Amazon's is far.
    pub fn is_near(&self) -> bool {
        let Self::S3 { endpoint, .. } = self else { return true };
        let Some(endpoint) = endpoint else { return false };
        // What is no address may lead anywhere.
        Url::parse(endpoint)
            .ok()
            .and_then(|url| url.host().map(|host| address_policy::is_near(&host)))
            .unwrap_or(true)
    }
}

impl FromStr for Location {
    type Err = BucketError;

    fn from_str(text: &str) -> Result<Self, BucketError> {
        if !text.contains("://") {
            return match text {
                "" => Err(invalid(text, "it is empty")),
                path => Ok(Self::Folder(path.into())),
            };
        }
        let url = Url::parse(text).map_err(|error| invalid(text, &error.to_string()))?;
        match url.scheme() {
            "s3" => parse_s3(text, &url),
            "file" => url
                .to_file_path()
                .map(Self::Folder)
                .map_err(|()| invalid(text, "it names no folder here")),
            "memory" => Ok(Self::Memory),
            _ => Err(invalid(text, "its scheme is none of s3, file, memory")),
        }
    }
}

fn parse_s3(text: &str, url: &Url) -> Result<Location, BucketError> {
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated in the message, which may be logged.
        return Err(invalid("s3://…", "keys belong into the environment, not into the URL"));
    }
    let bucket = url.host_str().ok_or_else(|| invalid(text, "it names no bucket"))?.to_owned();
    let prefix = url.path().trim_matches('/').to_owned();
    let (mut endpoint, mut region) = (None, None);
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "endpoint" => {
                check_endpoint(&value)?;
                endpoint = Some(value.into_owned());
            }
            "region" => {
                check_region(&value)?;
                region = Some(value.into_owned());
            }
            // Its value might be a secret.
            name => {
                return Err(invalid(
                    "s3://…",
                    &format!("option `{name}` is none of endpoint, region"),
                ));
            }
        }
    }
    Ok(Location::S3 { bucket, prefix, endpoint, region })
}

fn check_endpoint(endpoint: &str) -> Result<(), BucketError> {
    let reason = match Url::parse(endpoint) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "keys belong into the environment, not into the URL"
        }
        Ok(url) if is_plain_address(&url) => return Ok(()),
        _ => "its endpoint is no address such as https://host:port",
    };
    // Not repeated in the message, which may be logged.
    Err(invalid("s3://…", reason))
}

fn is_plain_address(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
}

/// A region stands in the middle of Amazon's host names, so that other letters could lead elsewhere.
fn check_region(region: &str) -> Result<(), BucketError> {
    match region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        true => Ok(()),
        false => Err(invalid("s3://…", "its region is no word of letters, digits and hyphens")),
    }
}

fn invalid(url: &str, reason: &str) -> BucketError {
    BucketError::InvalidUrl { url: url.into(), reason: reason.into() }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix, endpoint, .. } => {
                write!(formatter, "s3://{bucket}/{prefix}")?;
                endpoint.iter().try_for_each(|endpoint| write!(formatter, " at {endpoint}"))
            }
            Self::Folder(path) => write!(formatter, "{}", path.display()),
            Self::Memory => formatter.write_str("memory"),
        }
    }
}

/// The bucket at `location`, which must exist; nothing is asked of an S3 store yet.
///
/// S3 needs a Tokio runtime to be used in. `clock` dates what is written to memory; other stores have their own.
///
/// # Errors
/// [`BucketError::Missing`] for a folder that is not there, [`BucketError::Misconfigured`] for options that do not fit.
pub fn open(
    location: &Location,
    access: &Access,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Bucket>, BucketError> {
    match location {
        Location::Memory => Ok(Arc::new(MemoryBucket::new(clock))),
        Location::Folder(path) => open_folder(path).map(|bucket| Arc::new(bucket) as _),
        Location::S3 { bucket, prefix, endpoint, region } => {
            let access = Access {
                endpoint: endpoint.clone().or(access.endpoint.clone()),
                region: region.clone().or(access.region.clone()),
                ..access.clone()
            };
            open_s3(bucket, prefix, &access).map(|bucket| Arc::new(bucket) as _)
        }
    }
}

impl ObjectStoreBucket {
    /// The bucket in a folder that exists.
    ///
    /// # Errors
    /// [`BucketError::Missing`] if it does not.
    pub fn folder(path: &Path) -> Result<Self, BucketError> {
        open_folder(path)
    }

    /// A part of a bucket behind S3.
    ///
    /// # Errors
    /// [`BucketError::Misconfigured`] for options that do not fit.
    pub fn s3(bucket: &str, prefix: &str, access: &Access) -> Result<Self, BucketError> {
        open_s3(bucket, prefix, access)
    }
}

fn open_folder(path: &Path) -> Result<ObjectStoreBucket, BucketError> {
    if !path.is_dir() {
        return Err(BucketError::Missing { location: path.display().to_string() });
    }
    // Synchronised, because an object that is written once must not be half there after a power cut.
    let store = LocalFileSystem::new_with_prefix(path).map_err(misconfigured)?.with_fsync(true);
    Ok(ObjectStoreBucket::new(Arc::new(store), object_store::path::Path::default()))
}

fn open_s3(bucket: &str, prefix: &str, access: &Access) -> Result<ObjectStoreBucket, BucketError> {
    // Once per process; whoever came first chose the same or knows better.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        .with_timeout_disabled()
        .with_allow_http(
            access.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")),
        );
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(access.region.as_deref().unwrap_or("us-east-1"))
        .with_client_options(client)
        // Tries are repeated in one place, and that is not here.
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
    if let Some(endpoint) = &access.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder = match &access.keys {
        Some((id, secret)) => {
            builder.with_access_key_id(id).with_secret_access_key(secret.reveal())
        }
        None => builder.with_skip_signature(true),
    };
    if let Some(token) = &access.session_token {
        builder = builder.with_token(token.reveal());
    }
    let store = builder.build().map_err(misconfigured)?;
    Ok(ObjectStoreBucket::new(Arc::new(store), prefix.into()))
}

fn misconfigured(error: object_store::Error) -> BucketError {
    BucketError::Misconfigured { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_url_is_read() {
        let s3 = "s3://bkt/a/b/?endpoint=http://[::1]:9000&region=eu".parse::<Location>().unwrap();
        let expected = Location::S3 {
            bucket: "bkt".into(),
            prefix: "a/b".into(),
            endpoint: Some("http://[::1]:9000".into()),
            region: Some("eu".into()),
        };
        assert_eq!(s3, expected);
        assert_eq!(
            "file:///tmp/x%20y".parse::<Location>().unwrap(),
            Location::Folder("/tmp/x y".into())
        );
        assert_eq!("./x".parse::<Location>().unwrap(), Location::Folder("./x".into()));
        assert_eq!("memory://".parse::<Location>().unwrap(), Location::Memory);
    }

    #[test]
    fn what_is_no_bucket_is_refused_with_a_hint() {
        for text in [
            "",
            "ftp://host/x",
            "s3:///prefix",
            "s3://bkt?regoin=eu",
            "s3://",
            "http://host",
            "s3://bkt?endpoint=host:9000",
            "s3://bkt?endpoint=https://host?x=",
            "s3://bkt?region=@127.0.0.1/",
        ] {
            let error = text.parse::<Location>().unwrap_err();
            assert!(error.hint().is_some(), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_in_a_url_are_refused_and_not_repeated() {
        for text in [
            "s3://us:hush@bkt/x",
            "s3://bkt/x?secret=hush",
            "s3://bkt?endpoint=https://us:hush@host.example",
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    /// Every way to write an address means the address.
    #[test]
    fn neighbours_are_known_however_they_are_written() {
        for near in [
            "127.0.0.1:9000",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "127.1:80/path",
            "%31%32%37.0.0.1",
            "①27.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254/latest",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]:80",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[fd00::1]",
            "localhost",
            "LOCALHOST.",
            "api.localhost",
            "store",
            "store.local.",
            "metadata.google.internal",
        ] {
            for scheme in ["http", "https"] {
                let mut url = Url::parse("s3://bkt/prefix").unwrap();
                url.query_pairs_mut().append_pair("endpoint", &format!("{scheme}://{near}"));
                assert!(url.as_str().parse::<Location>().unwrap().is_near(), "{near}");
            }
        }
        assert!(
            ["/folder", "file:///folder", "memory://"]
                .iter()
                .all(|near| near.parse::<Location>().unwrap().is_near())
        );
        for far in [
            "s3://bkt/prefix",
            "s3://b?endpoint=https://store.example.org:9000",
            "s3://b?endpoint=http://8.8.8.8",
        ] {
            assert!(!far.parse::<Location>().unwrap().is_near(), "{far}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent");
        assert!(matches!(ObjectStoreBucket::folder(&path), Err(BucketError::Missing { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn a_bucket_behind_s3_opens_with_keys_and_without() {
        let keys = Some(("us".into(), crate::bucket::location::credentials::Secret::new("hush")));
        for access in [Access::default(), Access { keys, ..Access::default() }] {
            let bucket = ObjectStoreBucket::s3("bkt", "prefix", &access).unwrap();
            assert!(!format!("{bucket:?}").contains("hush"), "{bucket:?}");
        }
    }
}
