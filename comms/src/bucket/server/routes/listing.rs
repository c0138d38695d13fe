//! Pages of a listing, in the order of keys.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use s3s::S3Result;

use crate::bucket::server::files::staging::is_staged;
use crate::bucket::server::http::answer;

/// The most entries of one page.
pub(super) const LARGEST_PAGE: usize = 1000;

/// What a page is asked for.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// What all keys begin with.
    pub(super) prefix: String,
    /// Keys that are alike up to here, behind the prefix, are one entry.
    pub(super) delimiter: Option<String>,
    /// Keys up to this one are left out.
    pub(super) after_key: Option<String>,
    /// Entries up to this one were on earlier pages.
    pub(super) after_entry: Option<String>,
    /// The most entries.
    pub(super) limit: usize,
}

/// Some entries of a listing.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) objects: Vec<ObjectMeta>,
    pub(super) folders: Vec<String>,
    /// The last entry, if more follow.
    pub(super) last: Option<String>,
}

/// One page. Whatever is left out, everything below the prefix is looked at, but no more is kept than a page.
pub(super) async fn page(store: &dyn ObjectStore, query: &Query) -> S3Result<Page> {
    let folder = query.prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    // No key has such a prefix.
    let Ok(folder) = Path::parse(folder) else { return Ok(Page::default()) };
    let mut entries = BTreeMap::new();
    let mut objects = store.list(Some(&folder));
    while let Some(object) = objects.try_next().await.map_err(answer)? {
        if let Some((entry, object)) = query.entry(object) {
            entries.insert(entry, object);
        }
        if entries.len() > query.limit + 1 {
            entries.pop_last();
        }
    }
    Ok(query.cut(entries))
}

impl Query {
    /// The entry that stands for `object`, if it is asked for; folders have no object.
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

    /// All entries, by pages of `limit`.
    fn entries(store: &InMemory, query: Query) -> Vec<String> {
        let mut query = query;
        let mut entries = Vec::new();
        loop {
            let page = page(store, &query).now_or_never().unwrap().unwrap();
            assert!(page.objects.len() + page.folders.len() <= query.limit);
            let mut some: Vec<_> =
                page.objects.iter().map(|object| object.location.to_string()).collect();
            some.extend(page.folders);
            some.sort();
            entries.extend(some);
            match page.last {
                Some(last) => query.after_entry = Some(last),
                None => return entries,
            }
        }
    }

    #[test]
    fn pages_of_any_length_make_up_the_same_listing() {
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
    fn prefixes_may_end_within_a_step() {
        let store = store(&["rounds/01/x", "rounds/02/x", "rounds/1/x", "round"]);
        let with = |prefix: &str| {
            entries(&store, Query { limit: 9, prefix: prefix.into(), ..Query::default() })
        };
        assert_eq!(with("rounds/0"), ["rounds/01/x", "rounds/02/x"]);
        assert_eq!(with("round"), ["round", "rounds/01/x", "rounds/02/x", "rounds/1/x"]);
        assert!(with("rounds//").is_empty() && with("x/").is_empty());
    }

    #[test]
    fn a_listing_starts_after_any_key() {
        let store = store(&["a/1", "a/2", "b"]);
        let after = |key: &str, delimiter: Option<&str>| {
            let (after_key, delimiter) = (Some(key.to_owned()), delimiter.map(str::to_owned));
            entries(&store, Query { limit: 1, after_key, delimiter, ..Query::default() })
        };
        assert_eq!(after("a/1", None), ["a/2", "b"]);
        assert_eq!(after("a/0", None), ["a/1", "a/2", "b"]);
        // What lies in the folder behind the key still stands for it.
        assert_eq!(after("a/1", Some("/")), ["a/", "b"]);
        assert_eq!(after("a/2", Some("/")), ["b"]);
    }
}
