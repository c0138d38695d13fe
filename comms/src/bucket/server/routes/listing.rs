//! The pages of a listing, in the order of keys.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use s3s::S3Result;

use crate::bucket::server::files::staging::is_staged;
use crate::bucket::server::http::store_error;

/// The most entries of one page, as in S3.
pub(super) const MAX_PAGE: usize = 1000;

/// The parameters of a page.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// The common beginning of all keys.
    pub(super) prefix: String,
    /// Keys with the same text between the prefix and the first delimiter are one entry, a folder.
    pub(super) delimiter: Option<String>,
    /// Only keys after this one are listed.
    pub(super) after_key: Option<String>,
    /// The last entry of the previous page.
    pub(super) after_entry: Option<String>,
    /// The most entries of the page.
    pub(super) limit: usize,
}

/// A page of a listing.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<ObjectMeta>,
    pub(super) folders: Vec<String>,
    /// The last entry if further ones follow.
    pub(super) last: Option<String>,
}

/// Reads one page. Each page reads all objects below the folder of the prefix, because a file
/// system does not list in order, but keeps only the entries of the page in memory.
pub(super) async fn page(store: &dyn ObjectStore, query: &Query) -> S3Result<Page> {
    let folder = query.prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    // A prefix that is not a path has no keys.
    let Ok(folder) = Path::parse(folder) else { return Ok(Page::default()) };
    let mut entries = BTreeMap::new();
    let mut objects = store.list(Some(&folder));
    while let Some(object) = objects.try_next().await.map_err(store_error)? {
        if let Some((entry, object)) = query.entry(object) {
            entries.insert(entry, object);
        }
        // One entry beyond the page shows that further ones follow.
        if entries.len() > query.limit + 1 {
            entries.pop_last();
        }
    }
    Ok(query.cut(entries))
}

impl Query {
    /// The entry of `object`, if the query includes it; a folder has no object.
    fn entry(&self, object: ObjectMeta) -> Option<(String, Option<ObjectMeta>)> {
        let key = object.location.as_ref();
        let rest = key.strip_prefix(self.prefix.as_str())?;
        if is_staged(&object.location)
            || self.after_key.as_deref().is_some_and(|after| key <= after)
        {
            return None;
        }
        let delimiter = self.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        let folder =
            delimiter.and_then(|delimiter| Some((rest.split_once(delimiter)?.0, delimiter)));
        let (entry, object) = match folder {
            Some((folder, delimiter)) => (format!("{}{folder}{delimiter}", self.prefix), None),
            None => (key.to_owned(), Some(object)),
        };
        let is_new = self.after_entry.as_ref().is_none_or(|after| entry > *after);
        is_new.then_some((entry, object))
    }

    /// Cuts the entries to the length of the page.
    fn cut(&self, mut entries: BTreeMap<String, Option<ObjectMeta>>) -> Page {
        let mut page = Page::default();
        if entries.len() > self.limit {
            entries.pop_last();
            page.last = entries.last_key_value().map(|(entry, _)| entry.clone());
        }
        for (entry, object) in entries {
            match object {
                Some(object) => page.objects.push(object),
                None => page.folders.push(entry),
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    fn store(keys: &[&str]) -> InMemory {
        let store = InMemory::new();
        for key in keys {
            store.put(&Path::from(*key), "x".into()).now_or_never().unwrap().unwrap();
        }
        store
    }

    /// Reads all entries in pages of `limit`.
    fn entries(store: &InMemory, query: Query) -> Vec<String> {
        let mut query = query;
        let mut entries = Vec::new();
        loop {
            let page = page(store, &query).now_or_never().unwrap().unwrap();
            assert!(page.objects.len() + page.folders.len() <= query.limit);
            let mut on_page: Vec<_> =
                page.objects.iter().map(|object| object.location.to_string()).collect();
            on_page.extend(page.folders);
            on_page.sort();
            entries.extend(on_page);
            match page.last {
                Some(last) => query.after_entry = Some(last),
                None => return entries,
            }
        }
    }

    #[test]
    fn pages_of_any_length_add_up_to_the_same_listing() {
        let keys = ["a", "a-b", "a/1", "a/2", "a/b/3", "b/1", "c", ".uploads/staged/0"];
        let store = store(&keys);
        for limit in 1..10 {
            let all = entries(&store, Query { limit, ..Query::default() });
            assert_eq!(all, ["a", "a-b", "a/1", "a/2", "a/b/3", "b/1", "c"]);
            let delimiter = Some("/".to_owned());
            let top =
                entries(&store, Query { limit, delimiter: delimiter.clone(), ..Query::default() });
            assert_eq!(top, ["a", "a-b", "a/", "b/", "c"]);
            let prefix = "a/".to_owned();
            let below = entries(&store, Query { limit, delimiter, prefix, ..Query::default() });
            assert_eq!(below, ["a/1", "a/2", "a/b/"]);
        }
    }

    #[test]
    fn a_prefix_may_end_within_a_name() {
        let store = store(&["rounds/01/x", "rounds/02/x", "rounds/1/x", "round"]);
        let with = |prefix: &str| {
            entries(&store, Query { limit: 9, prefix: prefix.into(), ..Query::default() })
        };
        assert_eq!(with("rounds/0"), ["rounds/01/x", "rounds/02/x"]);
        assert_eq!(with("round"), ["round", "rounds/01/x", "rounds/02/x", "rounds/1/x"]);
        assert!(with("rounds//").is_empty() && with("x/").is_empty());
    }

    #[test]
    fn a_listing_can_start_after_any_key() {
        let store = store(&["a/1", "a/2", "b"]);
        let after = |key: &str, delimiter: Option<&str>| {
            let (after_key, delimiter) = (Some(key.to_owned()), delimiter.map(str::to_owned));
            entries(&store, Query { limit: 1, after_key, delimiter, ..Query::default() })
        };
        assert_eq!(after("a/1", None), ["a/2", "b"]);
        assert_eq!(after("a/0", None), ["a/1", "a/2", "b"]);
        // The folder is listed as long as it has an object after the key.
        assert_eq!(after("a/1", Some("/")), ["a/", "b"]);
        assert_eq!(after("a/2", Some("/")), ["b"]);
    }
}
