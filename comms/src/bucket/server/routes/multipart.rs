//! Multipart uploads, from their start to their last part.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use object_store::ObjectMeta;
use object_store::path::Path;
use s3s::{S3Result, s3_error};

use crate::primitives::Timestamp;

/// The largest part number, as in S3. The smallest is 1.
const MAX_PARTS: i32 = 10_000;

/// The most open uploads of one key pair. A further one ends the oldest, which its client has
/// probably abandoned.
const MAX_UPLOADS: usize = 64;

/// All open uploads. They end with the server, and so do their parts.
#[derive(Debug)]
pub(crate) struct Uploads {
    started: Timestamp,
    max_object: u64,
    table: Mutex<UploadTable>,
}

#[derive(Debug, Default)]
struct UploadTable {
    num_started: u64,
    /// By ID. IDs sort by age.
    open: BTreeMap<String, Upload>,
}

#[derive(Debug)]
struct Upload {
    path: Path,
    owner: String,
    parts: BTreeMap<i32, ObjectMeta>,
}

impl Upload {
    fn into_paths(self) -> Vec<Path> {
        self.parts.into_values().map(|part| part.location).collect()
    }
}

impl Uploads {
    /// Creates an empty table. The start time of the server is a part of each ID, so a client with
    /// an ID from before a restart does not write to another upload.
    pub(crate) fn new(started: Timestamp, max_object: u64) -> Self {
        Self { started, max_object, table: Mutex::default() }
    }

    /// Starts an upload to `path`. Returns its ID and the parts of an upload that ended for it, to
    /// be removed.
    pub(super) fn begin(&self, path: Path, owner: &str) -> (String, Vec<Path>) {
        let mut table = self.table();
        let own: Vec<_> = table
            .open
            .iter()
            .filter(|(_, upload)| upload.owner == owner)
            .map(|(id, _)| id)
            .collect();
        let oldest = own.first().filter(|_| own.len() >= MAX_UPLOADS).map(|id| (*id).clone());
        let ended = oldest.and_then(|id| table.open.remove(&id)).map(Upload::into_paths);
        table.num_started += 1;
        let id = format!("{:016x}-{:016x}", self.started.as_micros(), table.num_started);
        table.open.insert(id.clone(), Upload { path, owner: owner.into(), parts: BTreeMap::new() });
        (id, ended.unwrap_or_default())
    }

    /// Refuses a part that cannot be added. Called before the body of the part is read.
    pub(super) fn check(&self, id: &str, path: &Path, number: i32) -> S3Result<()> {
        if !(1..=MAX_PARTS).contains(&number) {
            return Err(s3_error!(InvalidArgument, "part numbers are 1 to {MAX_PARTS}"));
        }
        self.with_upload(id, path, |_| ())
    }

    /// Adds a staged part. Returns the part that it replaces, to be removed.
    pub(super) fn add_part(
        &self,
        id: &str,
        path: &Path,
        number: i32,
        part: ObjectMeta,
    ) -> S3Result<Option<Path>> {
        let limit = self.max_object;
        self.with_upload(id, path, |upload| {
            // Over all parts, not only when the object is assembled: the parts fill the disk
            // before.
            let others = upload.parts.iter().filter(|(other, _)| **other != number);
            let total = others.map(|(_, other)| other.size).sum::<u64>().saturating_add(part.size);
            if total <= limit {
                Ok(upload.parts.insert(number, part).map(|replaced| replaced.location))
            } else {
                Err(s3_error!(EntityTooLarge, "objects may have at most {limit} bytes"))
            }
        })?
    }

    /// The uploaded parts by number.
    pub(super) fn parts(&self, id: &str, path: &Path) -> S3Result<BTreeMap<i32, ObjectMeta>> {
        self.with_upload(id, path, |upload| upload.parts.clone())
    }

    /// Ends an upload. Returns its parts, to be removed.
    pub(super) fn end(&self, id: &str, path: &Path) -> S3Result<Vec<Path>> {
        self.with_upload(id, path, |_| ())?;
        Ok(self.table().open.remove(id).map(Upload::into_paths).unwrap_or_default())
    }

    /// Uses the upload with an ID. An ID of another path is refused, because the permission was
    /// checked for `path`.
    fn with_upload<T>(
        &self,
        id: &str,
        path: &Path,
        use_upload: impl FnOnce(&mut Upload) -> T,
    ) -> S3Result<T> {
        match self.table().open.get_mut(id) {
            Some(upload) if upload.path == *path => Ok(use_upload(upload)),
            _ => Err(s3_error!(NoSuchUpload)),
        }
    }

    fn table(&self) -> MutexGuard<'_, UploadTable> {
        // The table is consistent between any two statements above.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Selects the paths of the parts that make up an object, in ascending order of numbers.
///
/// `wanted` lists the numbers and the tags that the client received for them.
pub(super) fn select_parts(
    parts: &BTreeMap<i32, ObjectMeta>,
    wanted: &[(i32, &str)],
) -> S3Result<Vec<Path>> {
    if wanted.is_empty() {
        return Err(s3_error!(MalformedXML, "an object has at least one part"));
    }
    if !wanted.is_sorted_by(|(one, _), (next, _)| one < next) {
        return Err(s3_error!(InvalidPartOrder));
    }
    wanted.iter().map(|(number, tag)| select_part(parts, *number, tag)).collect()
}

fn select_part(parts: &BTreeMap<i32, ObjectMeta>, number: i32, tag: &str) -> S3Result<Path> {
    match parts.get(&number) {
        Some(part) if tag_value(part) == tag => Ok(part.location.clone()),
        _ => Err(s3_error!(InvalidPart, "part {number} is missing or has another tag")),
    }
}

/// The tag of a stored object, without its quotes.
pub(crate) fn tag_value(stored: &ObjectMeta) -> &str {
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
    fn parts_are_replaced_and_limited_in_total() {
        let (uploads, key) = (uploads(), Path::from("key"));
        let (id, _) = uploads.begin(key.clone(), "us");
        assert_eq!(uploads.add_part(&id, &key, 1, part("a", 60)).unwrap(), None);
        assert!(uploads.add_part(&id, &key, 2, part("b", 41)).is_err());
        assert_eq!(uploads.add_part(&id, &key, 1, part("c", 59)).unwrap(), Some(Path::from("a")));
        assert_eq!(uploads.add_part(&id, &key, 2, part("b", 41)).unwrap(), None);
        assert_eq!(uploads.end(&id, &key).unwrap(), ["c", "b"].map(Path::from));
    }

    #[test]
    fn an_upload_above_the_limit_ends_the_oldest_of_its_owner() {
        let uploads = uploads();
        let key = |number: usize| Path::from(format!("{number}"));
        let (other, _) = uploads.begin(key(0), "them");
        let ids: Vec<_> =
            (0..MAX_UPLOADS).map(|number| uploads.begin(key(number), "us").0).collect();
        uploads.add_part(&ids[0], &key(0), 1, part("old", 1)).unwrap();
        assert_eq!(uploads.begin(key(99), "us").1, [Path::from("old")]);
        assert!(uploads.parts(&ids[0], &key(0)).is_err());
        assert!(uploads.parts(&ids[1], &key(1)).is_ok() && uploads.parts(&other, &key(0)).is_ok());
    }

    #[test]
    fn an_object_consists_of_the_uploaded_parts() {
        let parts = BTreeMap::from([(1, part("a", 1)), (3, part("b", 1))]);
        assert_eq!(
            select_parts(&parts, &[(1, "a"), (3, "b")]).unwrap(),
            ["a", "b"].map(Path::from)
        );
        assert_eq!(select_parts(&parts, &[(3, "b")]).unwrap(), [Path::from("b")]);
        for wrong in
            [&[][..], &[(3, "b"), (1, "a")], &[(1, "a"), (1, "a")], &[(2, "a")], &[(1, "b")]]
        {
            assert!(select_parts(&parts, wrong).is_err(), "{wrong:?}");
        }
    }
}
