//! The list of all that belongs to a checkpoint.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::error::{CheckpointError, Damage};
use super::names::MANIFEST;

const VERSION: u64 = 1;

/// What `manifest.json` says: which files there are, and what is in them.
///
/// - Names are plain: nothing outside the checkpoint's folder is ever read.
/// - `checksum` covers every other field, so a manifest vouches for itself too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointManifest {
    version: u64,
    /// Training steps done.
    pub(super) step: u64,
    /// [`weights_digest`](super::snapshot::weights_digest) in hexadecimal.
    pub(super) weights: String,
    /// Every file but the manifest.
    pub(super) files: Vec<FileEntry>,
    checksum: String,
}

/// One file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    /// Name in the folder.
    pub(super) name: String,
    /// Bytes.
    pub(super) length: u64,
    /// Hash of the contents, in hexadecimal.
    pub(super) blake3: String,
}

impl CheckpointManifest {
    /// The manifest of these files.
    pub(super) fn new(step: u64, weights: blake3::Hash, files: Vec<FileEntry>) -> Self {
        let manifest = Self {
            version: VERSION,
            step,
            weights: weights.to_string(),
            files,
            checksum: String::new(),
        };
        Self { checksum: manifest.expected_checksum(), ..manifest }
    }

    /// The text of `manifest.json`.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers always have a JSON form")
    }

    /// The manifest in `folder`, if it vouches for itself.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let bytes = fs::read(folder.join(MANIFEST)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CheckpointError::NotACheckpoint { path: folder.to_owned() },
            _ => CheckpointError::io("read", &folder.join(MANIFEST), source),
        })?;
        let unreadable = |reason: String| {
            CheckpointError::damaged(folder, Damage::Unreadable { file: MANIFEST.into(), reason })
        };
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        // The version comes first: all else may look different in another one.
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(VERSION) => {}
            Some(got) => {
                return Err(CheckpointError::UnknownVersion {
                    path: folder.to_owned(),
                    got,
                    expected: VERSION,
                });
            }
            None => return Err(unreadable("it has no format version".into())),
        }
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| unreadable(error.to_string()))?;
        manifest.check().map_err(unreadable)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.checksum != self.expected_checksum() {
            return Err("its checksum does not fit its contents".into());
        }
        match self.files.iter().find(|file| !is_plain(&file.name)) {
            Some(file) => Err(format!("`{}` is not a plain file name", file.name)),
            None => Ok(()),
        }
    }

    fn expected_checksum(&self) -> String {
        let covered = Self { checksum: String::new(), ..self.clone() };
        blake3::hash(covered.to_json().as_bytes()).to_string()
    }
}

/// Whether `name` can only mean a file in the folder itself.
pub(super) fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_never_points_outside_its_folder() {
        for name in ["../weights", "/etc/hostname", "..", "", "a/b", "c:weights"] {
            let entry = FileEntry { name: name.into(), length: 1, blake3: String::new() };
            let manifest = CheckpointManifest::new(1, blake3::hash(b""), vec![entry]);
            assert!(
                manifest.check().is_err_and(|reason| reason.contains("plain file name")),
                "{name}"
            );
        }
    }
}
