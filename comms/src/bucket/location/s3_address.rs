//! The parts from which the address of an S3 bucket is built.
//!
//! The HTTP client builds `ENDPOINT/BUCKET/PREFIX/KEY` and panics if that is not a valid address.
//! The parts may come from another peer, so each is checked before the client sees it.

use hyper::Uri;
use url::Url;

/// The longest prefix in bytes, the limit of S3 for a whole key. An HTTP address has at most 64
/// KiB.
const MAX_PREFIX: usize = 1024;

/// The longest endpoint in bytes.
const MAX_ENDPOINT: usize = 2048;

pub(super) fn check_bucket(bucket: &str) -> Result<(), &'static str> {
    // More than S3 allows today: old buckets have capitals and underscores.
    if !bucket.is_empty()
        && bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    {
        Ok(())
    } else {
        Err("the bucket's name must have letters, digits, dots, hyphens and underscores only")
    }
}

pub(super) fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    if prefix.len() <= MAX_PREFIX { Ok(()) } else { Err("the prefix has more than 1024 bytes") }
}

/// Checks an endpoint and returns it in the spelling that the client uses.
///
/// [`Url`] accepts spellings that are not valid in an HTTP request, such as letters of other
/// scripts and tabs. Only the normalized spelling is the one that
/// [`is_near`](super::Location::is_near) judges.
pub(super) fn check_endpoint(endpoint: &str) -> Result<String, &'static str> {
    let no_address = "the endpoint must be an address such as https://host:port";
    let url = Url::parse(endpoint).map_err(|_| no_address)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("pass keys in the environment, not in the URL");
    }
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain || !is_valid_in_request(url.as_str()) || url.as_str().len() > MAX_ENDPOINT {
        return Err(no_address);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// A region is a part of Amazon's host names, so other characters could lead to another host.
pub(super) fn check_region(region: &str) -> Result<(), &'static str> {
    let is_word = region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    // A label that begins with `xn--` is encoded Unicode, and may be malformed.
    if is_word && is_valid_in_request(&format!("https://s3.{region}.amazonaws.com/")) {
        Ok(())
    } else {
        Err("the region must be a word of letters, digits and hyphens")
    }
}

fn is_valid_in_request(address: &str) -> bool {
    address.parse::<Uri>().is_ok() && Url::parse(address).is_ok()
}
