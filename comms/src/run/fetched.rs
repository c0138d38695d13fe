//! The outcome of reading an object that another party wrote.

use super::error::CommsError;

/// An object that another party wrote, or the reason why it cannot be used.
///
/// Peers, validators and the keeper of the bucket write the objects under its keys, so absence,
/// rubbish and an outage are ordinary outcomes, and they lead to different decisions: an absent
/// delta was not delivered, an invalid one is excluded for its reason, and an outage is waited for.
/// Every reader of foreign content goes through this type; the classification of errors exists
/// once, in [`From`].
#[derive(Debug)]
#[must_use = "absent, invalid and unreachable objects need different answers"]
pub enum Fetched<T> {
    /// The object exists and passed every check.
    Valid(T),
    /// No object exists under the key.
    Absent,
    /// An object exists, and it breaks its format, its signature or its commitment.
    Invalid(CommsError),
    /// The store gave no answer, or this machine could not use the answer.
    Unreachable(CommsError),
}

impl<T> From<Result<T, CommsError>> for Fetched<T> {
    fn from(outcome: Result<T, CommsError>) -> Self {
        match outcome {
            Ok(value) => Self::Valid(value),
            Err(error) if error.is_absence() => Self::Absent,
            Err(error) if error.is_invalid_content() => Self::Invalid(error),
            Err(error) => Self::Unreachable(error),
        }
    }
}

impl<T> Fetched<T> {
    /// Returns the value if it is valid, and `None` if it is absent or invalid: an invalid object
    /// counts as if its author had written nothing. Invalid objects are logged.
    ///
    /// # Errors
    /// The error of an unreachable store. It must stop the caller: treating an outage as absence
    /// would let the keeper of the bucket decide who is left out.
    pub fn into_option(self) -> Result<Option<T>, CommsError> {
        match self {
            Self::Valid(value) => Ok(Some(value)),
            Self::Absent => Ok(None),
            Self::Invalid(error) => {
                tracing::warn!(%error, "ignoring an invalid object");
                Ok(None)
            }
            Self::Unreachable(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::BucketError;
    use crate::primitives::{PeerId, Round};

    const PEER: PeerId = PeerId::from_bytes([1; 32]);

    fn classify(error: CommsError) -> Fetched<()> {
        Fetched::from(Err(error))
    }

    #[test]
    fn absence_rubbish_and_outage_are_three_things() {
        let what = || String::from("rounds/0000000001/deltas");
        let absent = [
            BucketError::NotFound { what: what() }.into(),
            CommsError::DeltaGone { round: Round(1), peer: PEER },
            CommsError::CheckpointGone { round: Round(1) },
        ];
        let invalid = [
            BucketError::TooLarge { what: what(), announced: 2, limit: 1 }.into(),
            CommsError::Verdict { round: Round(1), reason: "its digest differs".into() },
            CommsError::WrongLength { what: what(), expected: 1, got: 2 },
        ];
        let unreachable: [CommsError; 3] = [
            BucketError::Denied { what: what(), source: "403".into() }.into(),
            BucketError::Unavailable { what: what(), source: "reset".into() }.into(),
            CommsError::CannotOpenBucket { peer: PEER, url: "s3://theirs".into() },
        ];
        for error in absent {
            assert!(matches!(classify(error), Fetched::Absent));
        }
        for error in invalid {
            assert!(matches!(classify(error), Fetched::Invalid(_)));
        }
        for error in unreachable {
            assert!(matches!(classify(error), Fetched::Unreachable(_)));
        }
    }

    #[test]
    fn an_outage_is_never_an_absent_object() {
        let outage = BucketError::Unavailable { what: "rounds".into(), source: "reset".into() };
        assert!(classify(outage.into()).into_option().is_err());
        let absent = BucketError::NotFound { what: "rounds".into() };
        assert!(classify(absent.into()).into_option().unwrap().is_none());
    }
}
