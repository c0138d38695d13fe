//! Errors of the store as S3 errors.

use std::error::Error;
use std::io::ErrorKind;

use hyper::StatusCode;
use object_store::Error as StoreError;
use s3s::{S3Error, S3ErrorCode, StdError, s3_error};

/// The S3 error for an error of the store.
pub(crate) fn store_error(error: StoreError) -> S3Error {
    match error {
        StoreError::NotFound { .. } => s3_error!(NoSuchKey),
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => key_is_taken(),
        StoreError::InvalidPath { .. } => {
            s3_error!(InvalidArgument, "the key cannot be the path of a file")
        }
        error => system_error(error),
    }
}

/// The S3 error for the creation of an object that exists. Clients recognize a taken key by this
/// code.
fn key_is_taken() -> S3Error {
    s3_error!(PreconditionFailed, "the key is taken")
}

/// The S3 error for a body that ended early or does not have the signed content.
pub(super) fn broken_body(error: StdError) -> S3Error {
    s3_error!(IncompleteBody, "the body differs from its announcement: {error}")
}

fn system_error(error: StoreError) -> S3Error {
    match kind(&error) {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) => full(),
        // A key below an object (`a/b` if `a` exists), or above one. S3 allows this, a file system
        // does not.
        Some(ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidFilename) => {
            s3_error!(InvalidArgument, "the key is in conflict with the path of an existing key")
        }
        _ => S3Error::with_source(S3ErrorCode::InternalError, error.into()),
    }
}

/// S3 has no code for a full disk. Status 507 tells the client that a repetition is useless.
fn full() -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("StorageFull".into()),
        "no space left on the server",
    );
    error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    error
}

/// The kind of the I/O error in the chain of causes.
fn kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => Some(error.kind()),
        None => kind(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(kind: ErrorKind) -> S3Error {
        store_error(StoreError::Generic {
            store: "test",
            source: std::io::Error::from(kind).into(),
        })
    }

    #[test]
    fn a_full_disk_has_its_own_status() {
        let error = error_of(ErrorKind::StorageFull);
        assert_eq!(error.code().as_str(), "StorageFull");
        assert_eq!(error.status_code(), Some(StatusCode::INSUFFICIENT_STORAGE));
    }

    #[test]
    fn conflicting_keys_are_errors_of_the_client() {
        for kind in [ErrorKind::NotADirectory, ErrorKind::IsADirectory] {
            assert_eq!(error_of(kind).code(), &S3ErrorCode::InvalidArgument);
        }
        assert_eq!(error_of(ErrorKind::Other).code(), &S3ErrorCode::InternalError);
    }
}
