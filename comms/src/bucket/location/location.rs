//! The URL of a bucket, parsed and checked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use super::address_policy;
use super::s3_address::{check_bucket, check_endpoint, check_prefix, check_region};
use crate::bucket::error::BucketError;

/// The longest URL in bytes. S3 keys have at most 1,024 bytes; the rest is room for the endpoint
/// and the region.
const MAX_URL: usize = 2048;

/// The place of a bucket: the checked form of its URL, without secrets.
///
/// - `s3://bucket/prefix?endpoint=http://host:port&region=name`. The options take precedence over
///   those of [`Access`](super::Access). The endpoint is an HTTP address without keys, the region a
///   word of letters, digits and hyphens, because both become part of other addresses.
/// - `file:///folder`, or a plain path
/// - `memory://`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A part of an S3 bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// The common beginning of all keys; may be empty.
        prefix: String,
        /// The address of the store; `None` for Amazon S3.
        endpoint: Option<String>,
        /// The region; `None` for the one of [`Access`](super::Access).
        region: Option<String>,
    },
    /// A folder.
    Folder(PathBuf),
    /// The memory of this process; its objects are lost when the process ends.
    Memory,
}

impl Location {
    /// Returns true if the location is on this machine or in its network. Other peers may not send
    /// us there.
    ///
    /// Does not resolve names. A bucket of Amazon S3 is not near.
    pub fn is_near(&self) -> bool {
        let Self::S3 { endpoint, .. } = self else { return true };
        let Some(endpoint) = endpoint else { return false };
        // An endpoint without a host may lead anywhere, so it counts as near.
        Url::parse(endpoint)
            .ok()
            .and_then(|url| url.host().map(|host| address_policy::is_near(&host)))
            .unwrap_or(true)
    }
}

impl FromStr for Location {
    type Err = BucketError;

    fn from_str(text: &str) -> Result<Self, BucketError> {
        if text.len() > MAX_URL {
            return Err(invalid("…", &format!("it has more than {MAX_URL} bytes")));
        }
        if !text.contains("://") {
            return match text {
                "" => Err(invalid(text, "it is empty")),
                // Not through `Url`, which would change a relative path.
                path => Ok(Self::Folder(path.into())),
            };
        }
        let url = Url::parse(text).map_err(|error| invalid(text, &error.to_string()))?;
        match url.scheme() {
            "s3" => parse_s3(text, &url),
            "file" => url
                .to_file_path()
                .map(Self::Folder)
                .map_err(|()| invalid(text, "it names no folder of this machine")),
            "memory" => Ok(Self::Memory),
            _ => Err(invalid(text, "the scheme must be s3, file or memory")),
        }
    }
}

fn parse_s3(text: &str, url: &Url) -> Result<Location, BucketError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(HIDDEN, "pass keys in the environment, not in the URL"));
    }
    let bucket = url.host_str().ok_or_else(|| invalid(text, "it names no bucket"))?.to_owned();
    let prefix = url.path().trim_matches('/').to_owned();
    let (mut endpoint, mut region) = (None, None);
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "endpoint" => {
                endpoint = Some(check_endpoint(&value).map_err(|reason| invalid(HIDDEN, reason))?);
            }
            "region" => region = Some(value.into_owned()),
            name => {
                let reason = format!("option `{name}` is unknown, expected endpoint or region");
                return Err(invalid(HIDDEN, &reason));
            }
        }
    }
    check_bucket(&bucket)
        .and_then(|()| check_prefix(&prefix))
        .and_then(|()| check_region(region.as_deref().unwrap_or_default()))
        .map_err(|reason| invalid(HIDDEN, reason))?;
    Ok(Location::S3 { bucket, prefix, endpoint, region })
}

/// Replaces a URL that may hold a secret in a message. Messages may be logged.
const HIDDEN: &str = "s3://…";

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
    fn other_texts_are_refused_with_a_hint() {
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
            // Not valid in an HTTP request, although valid in a URL: the client would panic.
            "s3://a`b/x",
            "s3://a\"b",
            "s3://bkt?region=xn--a",
            "s3://bkt?endpoint=http://a\"b",
            &format!("s3://bkt/{}", "a".repeat(1025)),
            &format!("s3://bkt?endpoint=https://host/{}", "a".repeat(2048)),
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

    #[test]
    fn every_spelling_of_a_near_address_is_near() {
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
    fn an_endpoint_is_kept_as_the_client_uses_it() {
        for (spelling, address) in [
            ("https://ⓔxample.org", "https://example.org"),
            ("https://Example.org/", "https://example.org"),
            ("https://ex\tample.org/a/", "https://example.org/a"),
            ("http://2130706433:80", "http://127.0.0.1"),
        ] {
            let mut url = Url::parse("s3://bkt").unwrap();
            url.query_pairs_mut().append_pair("endpoint", spelling);
            let location = url.as_str().parse::<Location>().unwrap();
            let Location::S3 { endpoint, .. } = location else { panic!("{spelling}") };
            assert_eq!(endpoint.as_deref(), Some(address));
        }
    }
}
