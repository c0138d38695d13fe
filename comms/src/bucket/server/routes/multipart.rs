//! Objects that arrive in parts, between their first part and their last.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use object_store::ObjectMeta;
use object_store::path::Path;
use s3s::{S3Result, s3_error};

use crate::primitives::Timestamp;

/// Parts have the numbers 1 to this.
const MAX_PARTS: i32 = 10_000;

/// The most uploads that one key pair has open; the next one ends its oldest, which was probably forgotten.
const MAX_OPEN: usize = 64;

/// All uploads in progress. They do not survive the server, as little as their parts do.
#[derive(Debug)]
pub(crate) struct Uploads {
    started: Timestamp,
    max_object: u64,
    table: Mutex<UploadTable>,
}

#[derive(Debug, Default)]
struct UploadTable {
    begun: u64,
    /// By id; ids sort by age.
    open: BTreeMap<String, Upload>,
}

#[derive(Debug)]
struct Upload {
    path: Path,
    owner: String,
    parts: BTreeMap<i32, ObjectMeta>,
}

impl Upload {
    fn into_places(self) -> Vec<Path> {
        self.parts.into_values().map(|part| part.location).collect()
    }
}

impl Uploads {
    /// No uploads yet, at a server that started at `started`, so that ids of an earlier one are not taken for its own.
    pub(crate) fn new(started: Timestamp, max_object: u64) -> Self {
        Self { started, max_object, table: Mutex::default() }
    }

    /// Begins an upload to `path`: its id, and what can be removed because it ended for it.
    pub(super) fn begin(&self, path: Path, owner: &str) -> (String, Vec<Path>) {
        let mut table = self.table();
        let own: Vec<_> = table
            .open
            .iter()
            .filter(|(_, upload)| upload.owner == owner)
            .map(|(id, _)| id)
            .collect();
        let oldest = (own.len() >= MAX_OPEN).then(|| own[0].clone());
        let ended = oldest.and_then(|id| table.open.remove(&id)).map(Upload::into_places);
        table.begun += 1;
        let id = format!("{:016x}-{:016x}", self.started.as_micros(), table.begun);
        table.open.insert(id.clone(), Upload { path, owner: owner.into(), parts: BTreeMap::new() });
        (id, ended.unwrap_or_default())
    }

    /// Refuses a part that cannot be added, before its body arrives.
    pub(super) fn check(&self, id: &str, path: &Path, number: i32) -> S3Result<()> {
        if !(1..=MAX_PARTS).contains(&number) {
            return Err(s3_error!(InvalidArgument, "parts are numbered from 1 to {MAX_PARTS}"));
        }
        self.look(id, path, |_| ())
    }

    /// Adds a part that was set aside: what can be removed because it was replaced.
    pub(super) fn add(
        &self,
        id: &str,
        path: &Path,
        number: i32,
        part: ObjectMeta,
    ) -> S3Result<Option<Path>> {
        let limit = self.max_object;
        self.look(id, path, |upload| {
            let others = upload
                .parts
                .iter()
                .filter(|(other, _)| **other != number)
                .map(|(_, part)| part.size);
            match others.sum::<u64>().saturating_add(part.size) <= limit {
                true => Ok(upload.parts.insert(number, part).map(|replaced| replaced.location)),
                false => Err(s3_error!(EntityTooLarge, "objects have at most {limit} bytes here")),
            }
        })?
    }

    /// The parts that there are, by number.
    pub(super) fn parts(&self, id: &str, path: &Path) -> S3Result<BTreeMap<i32, ObjectMeta>> {
        self.look(id, path, |upload| upload.parts.clone())
    }

    /// Ends an upload: what can be removed.
    pub(super) fn end(&self, id: &str, path: &Path) -> S3Result<Vec<Path>> {
        self.look(id, path, |_| ())?;
        Ok(self.table().open.remove(id).map(Upload::into_places).unwrap_or_default())
    }

    fn look<T>(&self, id: &str, path: &Path, look: impl FnOnce(&mut Upload) -> T) -> S3Result<T> {
        match self.table().open.get_mut(id) {
            Some(upload) if upload.path == *path => Ok(look(upload)),
            _ => Err(s3_error!(NoSuchUpload)),
        }
    }

    fn table(&self) -> MutexGuard<'_, UploadTable> {
        // Whole between any two statements above.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places of the parts that make up the object, in the order in which their uploader wants them.
///
/// `wanted` are numbers, and the tags that came back for them.
pub(super) fn choose(
    parts: &BTreeMap<i32, ObjectMeta>,
    wanted: &[(i32, &str)],
) -> S3Result<Vec<Path>> {
    if wanted.is_empty() {
        return Err(s3_error!(MalformedXML, "an object has at least one part"));
    }
    if !wanted.is_sorted_by(|(one, _), (next, _)| one < next) {
        return Err(s3_error!(InvalidPartOrder));
    }
    let place = |(number, tag): &(i32, &str)| match parts.get(number) {
        Some(part) if bare_tag(part) == *tag => Ok(part.location.clone()),
        _ => Err(s3_error!(
            InvalidPart,
            "part {number} is not there, or is not the one that was sent"
        )),
    };
    wanted.iter().map(place).collect()
}

/// The tag of what is stored, without its quotes.
pub(crate) fn bare_tag(stored: &ObjectMeta) -> &str {
    stored.e_tag.as_deref().unwrap_or_default().trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, size: u64) -> ObjectMeta {
        ObjectMeta {
            location: Path::from(name),
            last_modified: Default::default(),
            size,
            e_tag: Some(format!("\"{name}\"")),
            version: None,
        }
    }

    fn uploads() -> Uploads {
        Uploads::new(Timestamp::from_micros(5), 100)
    }

    #[test]
    fn an_upload_belongs_to_its_key() {
        let (uploads, key, other) = (uploads(), Path::from("key"), Path::from("other"));
        let (id, _) = uploads.begin(key.clone(), "us");
        assert!(uploads.check(&id, &key, 1).is_ok());
        assert!(uploads.check(&id, &other, 1).is_err());
        assert!(uploads.end(&id, &other).is_err());
        assert!(uploads.end(&id, &key).is_ok());
        assert!(uploads.end(&id, &key).is_err());
    }

    #[test]
    fn parts_are_replaced_and_held_to_the_limit_together() {
        let (uploads, key) = (uploads(), Path::from("key"));
        let (id, _) = uploads.begin(key.clone(), "us");
        assert_eq!(uploads.add(&id, &key, 1, part("a", 60)).unwrap(), None);
        assert!(uploads.add(&id, &key, 2, part("b", 41)).is_err());
        assert_eq!(uploads.add(&id, &key, 1, part("c", 59)).unwrap(), Some(Path::from("a")));
        assert_eq!(uploads.add(&id, &key, 2, part("b", 41)).unwrap(), None);
        assert_eq!(uploads.end(&id, &key).unwrap(), ["c", "b"].map(Path::from));
    }

    #[test]
    fn whoever_has_too_many_open_loses_the_oldest() {
        let uploads = uploads();
        let key = |number: usize| Path::from(format!("{number}"));
        let (other, _) = uploads.begin(key(0), "them");
        let ids: Vec<_> = (0..MAX_OPEN).map(|number| uploads.begin(key(number), "us").0).collect();
        uploads.add(&ids[0], &key(0), 1, part("old", 1)).unwrap();
        assert_eq!(uploads.begin(key(99), "us").1, [Path::from("old")]);
        assert!(uploads.parts(&ids[0], &key(0)).is_err());
        assert!(uploads.parts(&ids[1], &key(1)).is_ok() && uploads.parts(&other, &key(0)).is_ok());
    }

    #[test]
    fn an_object_is_made_of_the_parts_that_were_sent() {
        let parts = BTreeMap::from([(1, part("a", 1)), (3, part("b", 1))]);
        assert_eq!(choose(&parts, &[(1, "a"), (3, "b")]).unwrap(), ["a", "b"].map(Path::from));
        assert_eq!(choose(&parts, &[(3, "b")]).unwrap(), [Path::from("b")]);
        for wrong in
            [&[][..], &[(3, "b"), (1, "a")], &[(1, "a"), (1, "a")], &[(2, "a")], &[(1, "b")]]
        {
            assert!(choose(&parts, wrong).is_err(), "{wrong:?}");
        }
    }
}
