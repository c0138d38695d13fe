//! The conditions of requests: `If-Match`, `If-None-Match`, `If-Modified-Since`,
//! `If-Unmodified-Since` (RFC 9110).

use std::time::{Duration, UNIX_EPOCH};

use object_store::ObjectMeta;
use s3s::dto::{ETagCondition, IfMatch, IfNoneMatch, Timestamp};
use s3s::{S3Result, s3_error};

use crate::bucket::server::auth::Permission;
use crate::bucket::server::files::WriteMode;
use crate::bucket::server::routes::tag_value;

/// The mode of a write: the one that the client requests, limited by its permission.
///
/// A write without a condition and without the permission to replace becomes a creation. So even a
/// client that does not support write-once objects cannot overwrite one.
pub(crate) fn write_mode(
    permission: Permission,
    if_none_match: Option<&IfNoneMatch>,
    if_match: Option<&IfMatch>,
) -> S3Result<WriteMode> {
    match (permission, if_none_match, if_match) {
        // The store can compare a tag and write only in two steps, between which another write
        // could happen.
        (_, Some(IfNoneMatch::ETag(_)), _) | (_, _, Some(_)) => {
            Err(s3_error!(NotImplemented, "writes support only the condition `If-None-Match: *`"))
        }
        (Permission::Everything, None, None) => Ok(WriteMode::Replace),
        (Permission::CreateOnly, ..) | (_, Some(IfNoneMatch::Any), _) => Ok(WriteMode::Create),
    }
}

/// Checks the tag of an object against the conditions of a read.
pub(crate) fn check_tags(
    found: &ObjectMeta,
    if_match: Option<&IfMatch>,
    if_none_match: Option<&IfNoneMatch>,
) -> S3Result<()> {
    match (if_match, if_none_match) {
        (Some(condition), _) if !matches(found, condition) => Err(s3_error!(PreconditionFailed)),
        (_, Some(condition)) if matches(found, condition) => Err(s3_error!(NotModified)),
        _ => Ok(()),
    }
}

fn matches(found: &ObjectMeta, condition: &ETagCondition) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == tag_value(found),
    }
}

/// Checks the time of the last write of an object against the conditions of a read.
pub(crate) fn check_dates(
    found: &ObjectMeta,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> S3Result<()> {
    // HTTP dates have whole seconds. With fractions, an object would be newer than its own
    // `Last-Modified`.
    let seconds = u64::try_from(found.last_modified.timestamp()).unwrap_or_default();
    let modified = Timestamp::from(UNIX_EPOCH + Duration::from_secs(seconds));
    match (if_modified_since, if_unmodified_since) {
        (Some(since), _) if modified <= *since => Err(s3_error!(NotModified)),
        (_, Some(since)) if modified > *since => Err(s3_error!(PreconditionFailed)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use s3s::dto::ETag;

    use super::*;

    #[test]
    fn a_client_that_may_only_create_replaces_nothing() {
        let any = IfNoneMatch::Any;
        assert_eq!(write_mode(Permission::CreateOnly, None, None).unwrap(), WriteMode::Create);
        assert_eq!(
            write_mode(Permission::CreateOnly, Some(&any), None).unwrap(),
            WriteMode::Create
        );
        assert_eq!(
            write_mode(Permission::Everything, Some(&any), None).unwrap(),
            WriteMode::Create
        );
        assert_eq!(write_mode(Permission::Everything, None, None).unwrap(), WriteMode::Replace);
    }

    #[test]
    fn conditions_that_the_store_cannot_check_are_refused() {
        let tag = ETagCondition::ETag(ETag::Strong("tag".into()));
        for permission in [Permission::CreateOnly, Permission::Everything] {
            assert!(write_mode(permission, Some(&tag), None).is_err());
            assert!(write_mode(permission, None, Some(&tag)).is_err());
            assert!(write_mode(permission, None, Some(&IfMatch::Any)).is_err());
        }
    }
}
