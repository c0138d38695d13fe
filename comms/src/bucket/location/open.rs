//! Opens the bucket at a location.

use std::path::Path;
use std::sync::Arc;

use object_store::RetryConfig;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;

use super::credentials::Access;
use super::http_client::S3Connector;
use super::location::Location;
use super::s3_address::{check_bucket, check_endpoint, check_prefix, check_region};
use crate::bucket::bucket::Bucket;
use crate::bucket::error::BucketError;
use crate::bucket::stores::{MemoryBucket, ObjectStoreBucket};
use crate::primitives::Clock;

/// The region of requests if none is given. Most stores other than Amazon's ignore it.
const DEFAULT_REGION: &str = "us-east-1";

/// Opens the bucket at `location`. A folder must exist; an S3 store is not contacted yet.
///
/// A bucket behind S3 must be used within a Tokio runtime. `clock` dates the objects of a bucket in
/// memory; other stores have their own clock.
///
/// # Errors
/// [`BucketError::Missing`] if the folder does not exist, [`BucketError::Misconfigured`] if the
/// options are malformed.
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
    /// Opens the bucket in an existing folder.
    ///
    /// # Errors
    /// [`BucketError::Missing`] if the folder does not exist.
    pub fn folder(path: &Path) -> Result<Self, BucketError> {
        open_folder(path)
    }

    /// Opens the part of a bucket behind S3 below `prefix`.
    ///
    /// # Errors
    /// [`BucketError::Misconfigured`] if the options are malformed.
    pub fn s3(bucket: &str, prefix: &str, access: &Access) -> Result<Self, BucketError> {
        open_s3(bucket, prefix, access)
    }
}

fn open_folder(path: &Path) -> Result<ObjectStoreBucket, BucketError> {
    if !path.is_dir() {
        return Err(BucketError::Missing { location: path.display().to_string() });
    }
    // Synchronizes each write: a write-once object must not be incomplete after a power failure.
    let store = LocalFileSystem::new_with_prefix(path).map_err(misconfigured)?.with_fsync(true);
    Ok(ObjectStoreBucket::new(Arc::new(store), object_store::path::Path::default()))
}

fn open_s3(bucket: &str, prefix: &str, access: &Access) -> Result<ObjectStoreBucket, BucketError> {
    // Once per process. If another part of the program has installed a provider, that one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = check_access(bucket, prefix, access)?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(access.region.as_deref().unwrap_or(DEFAULT_REGION))
        .with_http_connector(S3Connector::new(endpoint.as_deref()))
        // `Retry` repeats requests. A second layer would multiply the attempts and the time.
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder = match &access.keys {
        Some((id, secret)) => {
            builder.with_access_key_id(id).with_secret_access_key(secret.reveal())
        }
        // Otherwise the client would look for credentials at the metadata service of a cloud
        // machine.
        None => builder.with_skip_signature(true),
    };
    if let Some(token) = &access.session_token {
        builder = builder.with_token(token.reveal());
    }
    let store = builder.build().map_err(misconfigured)?;
    Ok(ObjectStoreBucket::new(Arc::new(store), prefix.into()))
}

/// Checks all parts of a request that the client would panic on, and returns the endpoint as the
/// client uses it.
fn check_access(
    bucket: &str,
    prefix: &str,
    access: &Access,
) -> Result<Option<String>, BucketError> {
    check_bucket(bucket)
        .and_then(|()| check_prefix(prefix))
        .and_then(|()| check_region(access.region.as_deref().unwrap_or(DEFAULT_REGION)))
        .and_then(|()| check_header_values(access))
        .and_then(|()| access.endpoint.as_deref().map(check_endpoint).transpose())
        .map_err(|reason| BucketError::Misconfigured { reason: reason.into() })
}

/// Checks the keys that are sent in headers. A line break at the end, copied from a file, is the
/// usual mistake.
fn check_header_values(access: &Access) -> Result<(), &'static str> {
    let id = access.keys.iter().map(|(id, _)| id.as_str());
    let token = access.session_token.iter().map(|token| token.reveal());
    if id.chain(token).all(|text| text.bytes().all(|byte| byte.is_ascii_graphic())) {
        Ok(())
    } else {
        Err("the access key ID and the session token must have visible ASCII characters only")
    }
}

fn misconfigured(error: object_store::Error) -> BucketError {
    BucketError::Misconfigured { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::location::Secret;

    #[test]
    fn an_absent_folder_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent");
        assert!(matches!(ObjectStoreBucket::folder(&path), Err(BucketError::Missing { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn a_bucket_behind_s3_opens_with_keys_and_without() {
        let keys = Some(("us".into(), Secret::new("hush")));
        for access in [Access::default(), Access { keys, ..Access::default() }] {
            let bucket = ObjectStoreBucket::s3("bkt", "prefix", &access).unwrap();
            assert!(!format!("{bucket:?}").contains("hush"), "{bucket:?}");
        }
    }

    #[test]
    fn parts_that_no_request_can_carry_are_refused() {
        let keys = Some(("us\n".into(), Secret::new("hush")));
        let token = Some(Secret::new("token\r"));
        for access in [
            Access { keys, ..Access::default() },
            Access { session_token: token, ..Access::default() },
            Access { region: Some("eu\n".into()), ..Access::default() },
            Access { endpoint: Some("host:9000".into()), ..Access::default() },
        ] {
            let outcome = ObjectStoreBucket::s3("bkt", "", &access);
            assert!(matches!(outcome, Err(BucketError::Misconfigured { .. })), "{access:?}");
        }
        let long = "a".repeat(1025);
        for (bucket, prefix) in [("", ""), ("a b", ""), ("bkt", long.as_str())] {
            assert!(ObjectStoreBucket::s3(bucket, prefix, &Access::default()).is_err(), "{bucket}");
        }
    }
}
