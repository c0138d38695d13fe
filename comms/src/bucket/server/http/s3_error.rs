//! What goes wrong in the store, as S3 says it.

use std::error::Error;
use std::io::ErrorKind;

use hyper::StatusCode;
use object_store::Error as StoreError;
use s3s::{S3Error, S3ErrorCode, StdError, s3_error};

/// The answer to a request that failed in the store.
pub(crate) fn answer(error: StoreError) -> S3Error {
    match error {
        StoreError::NotFound { .. } => s3_error!(NoSuchKey),
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => already_there(),
        StoreError::InvalidPath { .. } => {
            s3_error!(InvalidArgument, "the key cannot be kept in a folder")
        }
        error => answer_of_system(error),
    }
}

/// The answer to a conditional write that lost.
pub(super) fn already_there() -> S3Error {
    s3_error!(PreconditionFailed, "the key is taken")
}

/// The answer to a body that ended early, or was not what was signed.
pub(super) fn broken_body(error: StdError) -> S3Error {
    s3_error!(IncompleteBody, "the body did not arrive as announced: {error}")
}

fn answer_of_system(error: StoreError) -> S3Error {
    match kind(&error) {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) => full(),
        Some(ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidFilename) => {
            s3_error!(InvalidArgument, "the key cannot be kept beside those that are there")
        }
        _ => S3Error::with_source(S3ErrorCode::InternalError, error.into()),
    }
}

fn full() -> S3Error {
    let mut error =
        S3Error::with_message(S3ErrorCode::Custom("StorageFull".into()), "no space is left");
    error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    error
}

/// What the system said, at the root of `error`.
fn kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => Some(error.kind()),
        None => kind(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_system(kind: ErrorKind) -> S3Error {
        answer(StoreError::Generic { store: "test", source: std::io::Error::from(kind).into() })
    }

    #[test]
    fn a_full_disk_is_not_an_error_of_the_program() {
        let error = of_system(ErrorKind::StorageFull);
        assert_eq!(error.code().as_str(), "StorageFull");
        assert_eq!(error.status_code(), Some(StatusCode::INSUFFICIENT_STORAGE));
    }

    #[test]
    fn keys_that_do_not_fit_are_the_callers() {
        for kind in [ErrorKind::NotADirectory, ErrorKind::IsADirectory] {
            assert_eq!(of_system(kind).code(), &S3ErrorCode::InvalidArgument);
        }
        assert_eq!(of_system(ErrorKind::Other).code(), &S3ErrorCode::InternalError);
    }
}
