//! `manifest.json`: the list of the files of a checkpoint.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::error::{CheckpointError, Damage};
use super::names::MANIFEST;

const VERSION: u64 = 1;

/// The contents of `manifest.json`: step, digest of the weights, and every file with its digest.
///
/// - Names are plain, so a reader never leaves the folder of the checkpoint.
/// - `checksum` covers all other fields, so damage to the manifest itself is detected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckpointManifest {
    version: u64,
    /// Completed training steps.
    pub(super) step: u64,
    /// [`weights_digest`](super::snapshot::weights_digest) in hexadecimal.
    pub(super) weights: String,
    /// All files except the manifest.
    pub(super) files: Vec<FileEntry>,
    checksum: String,
}

/// One file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    /// Name in the folder.
    pub(super) name: String,
    /// Length in bytes.
    pub(super) length: u64,
    /// BLAKE3 digest of the contents, in hexadecimal.
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
        // The checksum covers the other fields, so it comes last.
        Self { checksum: manifest.expected_checksum(), ..manifest }
    }

    /// The text of `manifest.json`.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers always have a JSON form")
    }

    /// Reads and checks the manifest in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let bytes = fs::read(folder.join(MANIFEST)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CheckpointError::NotACheckpoint { path: folder.to_owned() },
            _ => CheckpointError::io("read", &folder.join(MANIFEST), source),
        })?;
        let value: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(folder, error))?;
        // The version is checked first: all other fields may differ in another version.
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(VERSION) => {}
            Some(got) => {
                return Err(CheckpointError::UnknownVersion {
                    path: folder.to_owned(),
                    got,
                    expected: VERSION,
                });
            }
            None => return Err(unreadable(folder, "it has no format version")),
        }
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| unreadable(folder, error))?;
        manifest.check().map_err(|reason| unreadable(folder, reason))?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.checksum != self.expected_checksum() {
            return Err("its checksum does not match its contents".into());
        }
        match self.files.iter().find(|file| !is_plain(&file.name)) {
            Some(file) => Err(format!("`{}` is not a plain file name", file.name)),
            None => Ok(()),
        }
    }

    fn expected_checksum(&self) -> String {
        // Over the JSON text with an empty checksum, so no second encoding of the fields is needed.
        let covered = Self { checksum: String::new(), ..self.clone() };
        blake3::hash(covered.to_json().as_bytes()).to_string()
    }
}

fn unreadable(folder: &Path, reason: impl ToString) -> CheckpointError {
    let damage = Damage::Unreadable { file: MANIFEST.into(), reason: reason.to_string() };
    CheckpointError::damaged(folder, damage)
}

/// Returns true if `name` can only be a file in the folder itself.
///
/// A colon would start a drive or an alternate data stream on Windows.
pub(super) fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_with_paths_outside_the_folder_are_rejected() {
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
