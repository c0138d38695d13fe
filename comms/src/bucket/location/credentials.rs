//! The credentials for a store: keys, region, endpoint.

use std::collections::BTreeMap;
use std::fmt;

use crate::bucket::error::BucketError;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the code that sends it.
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

/// The options to reach an S3 store. Absent ones have the default of Amazon S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The address of the store; `None` for Amazon S3.
    pub endpoint: Option<String>,
    /// The region [default: `us-east-1`]. Most stores other than Amazon's ignore it.
    pub region: Option<String>,
    /// The key pair that signs requests: an access key ID and its secret. `None` reads a public
    /// bucket.
    pub keys: Option<(String, Secret)>,
    /// The session token of a temporary key pair.
    pub session_token: Option<Secret>,
}

impl Access {
    /// Reads the usual `AWS_*` variables from `variables`, such as the environment of the program.
    ///
    /// These are `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; `AWS_REGION`,
    /// otherwise `AWS_DEFAULT_REGION`; `AWS_ENDPOINT_URL_S3`, otherwise `AWS_ENDPOINT_URL`,
    /// otherwise `AWS_ENDPOINT`. An empty variable counts as absent.
    ///
    /// # Errors
    /// [`BucketError::Misconfigured`] if half of the key pair is missing.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BucketError> {
        let variables: BTreeMap<_, _> = variables
            .into_iter()
            .filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty())
            .collect();
        let id = first(&variables, &["AWS_ACCESS_KEY_ID"]);
        let keys = match (id, first(&variables, &["AWS_SECRET_ACCESS_KEY"])) {
            (Some(id), Some(secret)) => Some((id, Secret::new(secret))),
            (None, None) => None,
            // An error, not a read without keys: the user meant to sign.
            (id, _) => return Err(half_a_pair(id.is_some())),
        };
        Ok(Self {
            // The order of the AWS command line: the variable of the service takes precedence.
            endpoint: first(
                &variables,
                &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"],
            ),
            region: first(&variables, &["AWS_REGION", "AWS_DEFAULT_REGION"]),
            keys,
            session_token: first(&variables, &["AWS_SESSION_TOKEN"]).map(Secret::new),
        })
    }
}

/// The value of the first variable of `names` that is set.
fn first(variables: &BTreeMap<String, String>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| variables.get(*name)).cloned()
}

fn half_a_pair(has_id: bool) -> BucketError {
    let (present, absent) = if has_id {
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    } else {
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")
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
    fn the_more_specific_variable_takes_precedence() {
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
    fn an_error_names_the_missing_half_of_a_key_pair() {
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
