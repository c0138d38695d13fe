//! Who we are to a store: keys, region, endpoint.

use std::fmt;

use crate::bucket::error::BucketError;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever has to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// How to reach an S3 store; what is not given has its usual default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The store's address, if it is not Amazon's.
    pub endpoint: Option<String>,
    /// The region, `us-east-1` if not given; most other stores ignore it.
    pub region: Option<String>,
    /// The pair that signs requests; without it the bucket is read as the public may.
    pub keys: Option<(String, Secret)>,
    /// The token that comes with temporary keys.
    pub session_token: Option<Secret>,
}

impl Access {
    /// Reads the usual `AWS_*` variables out of `variables`, the program's environment or what stands in for it.
    ///
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` or else `AWS_DEFAULT_REGION`,
    /// `AWS_ENDPOINT_URL_S3` or else `AWS_ENDPOINT_URL` or else `AWS_ENDPOINT`. Empty ones count as absent.
    ///
    /// # Errors
    /// [`BucketError::Misconfigured`] if one half of the key pair is missing.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BucketError> {
        let variables: std::collections::BTreeMap<_, _> = variables
            .into_iter()
            .filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty())
            .collect();
        let first = |names: &[&str]| names.iter().find_map(|name| variables.get(*name)).cloned();
        let keys = match (first(&["AWS_ACCESS_KEY_ID"]), first(&["AWS_SECRET_ACCESS_KEY"])) {
            (Some(id), Some(secret)) => Some((id, Secret::new(secret))),
            (None, None) => None,
            (id, _) => return Err(half_a_pair(id.is_some())),
        };
        Ok(Self {
            endpoint: first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]),
            region: first(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
            keys,
            session_token: first(&["AWS_SESSION_TOKEN"]).map(Secret::new),
        })
    }
}

fn half_a_pair(has_id: bool) -> BucketError {
    let (present, absent) = match has_id {
        true => ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        false => ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
    };
    BucketError::Misconfigured { reason: format!("{present} is set, but {absent} is not") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(variables: &[(&str, &str)]) -> Result<Access, BucketError> {
        Access::from_variables(
            variables.iter().map(|(name, value)| (name.to_string(), value.to_string())),
        )
    }

    #[test]
    fn the_more_specific_variable_wins() {
        let access = access(&[
            ("AWS_ENDPOINT_URL", "http://general"),
            ("AWS_ENDPOINT_URL_S3", "http://special"),
            ("AWS_DEFAULT_REGION", "there"),
            ("HOME", "/"),
        ]);
        let expected = Access {
            endpoint: Some("http://special".into()),
            region: Some("there".into()),
            ..Access::default()
        };
        assert_eq!(access.unwrap(), expected);
    }

    #[test]
    fn half_a_key_pair_is_refused_by_name() {
        let error =
            access(&[("AWS_ACCESS_KEY_ID", "us"), ("AWS_SECRET_ACCESS_KEY", "")]).unwrap_err();
        assert!(error.to_string().contains("AWS_SECRET_ACCESS_KEY is not"), "{error}");
    }

    #[test]
    fn secrets_are_never_printed() {
        let access = access(&[
            ("AWS_ACCESS_KEY_ID", "us"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
            ("AWS_SESSION_TOKEN", "quiet"),
        ]);
        let printed = format!("{access:?}");
        assert!(!printed.contains("hush") && !printed.contains("quiet"), "{printed}");
        assert_eq!(access.unwrap().keys.unwrap().1.reveal(), "hush");
    }
}
