//! Conditions of requests, and what follows from them.

use std::time::{Duration, UNIX_EPOCH};

use object_store::ObjectMeta;
use s3s::dto::{ETagCondition, IfMatch, IfNoneMatch, Timestamp};
use s3s::{S3Result, s3_error};

use crate::bucket::server::auth::Permission;
use crate::bucket::server::files::Mode;
use crate::bucket::server::routes::bare_tag;

/// What may become of an object that is there: what the client wants, as far as it has the right.
pub(crate) fn mode(
    right: Permission,
    unless: Option<&IfNoneMatch>,
    only_if: Option<&IfMatch>,
) -> S3Result<Mode> {
    match (right, unless, only_if) {
        (_, Some(IfNoneMatch::ETag(_)), _) | (_, _, Some(_)) => {
            Err(s3_error!(NotImplemented, "`If-None-Match: *` is the one condition of a write"))
        }
        (Permission::Everything, None, None) => Ok(Mode::Replace),
        (Permission::CreateOnly, ..) | (_, Some(IfNoneMatch::Any), _) => Ok(Mode::Create),
    }
}

/// Refuses a read unless the object is, or is not, the one that its reader knows.
pub(crate) fn check_tags(
    found: &ObjectMeta,
    only_if: Option<&IfMatch>,
    unless: Option<&IfNoneMatch>,
) -> S3Result<()> {
    let is_it = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == bare_tag(found),
    };
    match (only_if, unless) {
        (Some(only_if), _) if !is_it(only_if) => Err(s3_error!(PreconditionFailed)),
        (_, Some(unless)) if is_it(unless) => Err(s3_error!(NotModified)),
        _ => Ok(()),
    }
}

/// Refuses a read unless the object was, or was not, written since.
pub(crate) fn check_dates(
    found: &ObjectMeta,
    only_if: Option<&Timestamp>,
    unless: Option<&Timestamp>,
) -> S3Result<()> {
    // Conditions have whole seconds.
    let seconds = u64::try_from(found.last_modified.timestamp()).unwrap_or_default();
    let modified = Timestamp::from(UNIX_EPOCH + Duration::from_secs(seconds));
    match (only_if, unless) {
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
    fn whoever_may_only_create_replaces_nothing() {
        let anything = IfNoneMatch::Any;
        assert_eq!(mode(Permission::CreateOnly, None, None).unwrap(), Mode::Create);
        assert_eq!(mode(Permission::CreateOnly, Some(&anything), None).unwrap(), Mode::Create);
        assert_eq!(mode(Permission::Everything, Some(&anything), None).unwrap(), Mode::Create);
        assert_eq!(mode(Permission::Everything, None, None).unwrap(), Mode::Replace);
    }

    #[test]
    fn conditions_that_cannot_be_kept_are_refused() {
        let tag = ETagCondition::ETag(ETag::Strong("tag".into()));
        for right in [Permission::CreateOnly, Permission::Everything] {
            assert!(mode(right, Some(&tag), None).is_err());
            assert!(mode(right, None, Some(&tag)).is_err());
            assert!(mode(right, None, Some(&IfMatch::Any)).is_err());
        }
    }
}
