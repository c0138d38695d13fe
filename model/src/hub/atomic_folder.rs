//! Atomic replacement of the model in a folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::file_names::{CONFIG, INDEX, WEIGHTS};
use crate::error::HubError;

/// New files of a model folder, under temporary names until [`AtomicFolder::commit`].
///
/// Readers reject a folder without `config.json`. The commit therefore removes the old config first
/// and creates the new one last; a crash in between leaves a folder that is not a model. If the
/// value is dropped without a commit, the temporary files are removed and the folder is unchanged.
#[derive(Debug)]
pub(super) struct AtomicFolder {
    folder: PathBuf,
    /// Final names, in order of writing.
    names: Vec<String>,
}

impl AtomicFolder {
    /// Creates the folder if it does not exist.
    pub(super) fn new(folder: &Path) -> Result<Self, HubError> {
        fs::create_dir_all(folder).map_err(HubError::io(folder, "write"))?;
        Ok(Self { folder: folder.to_owned(), names: Vec::new() })
    }

    /// Writes the future file `name`, and waits until it is on the disk.
    pub(super) fn write(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), HubError> {
        // First, so a file that fails half-way is removed on drop.
        self.names.push(name.to_owned());
        write_through(&self.temporary(name), fill)
            .map_err(HubError::io(&self.folder.join(name), "write"))
    }

    /// Renames all files, and replaces the model in the folder if there is one.
    pub(super) fn commit(mut self) -> Result<(), HubError> {
        remove_if_present(&self.folder.join(CONFIG))?;
        // The removal must be on the disk before any weights change, or a crash could leave the old
        // config with new weights.
        self.sync()?;
        // Old shards would be tensors in two files if the new model has fewer shards.
        for name in old_weights(&self.folder)? {
            remove_if_present(&self.folder.join(name))?;
        }
        self.names.sort_by_key(|name| name == CONFIG);
        // Taken: `drop` has nothing left to remove.
        for name in std::mem::take(&mut self.names) {
            let path = self.folder.join(&name);
            fs::rename(self.temporary(&name), &path).map_err(HubError::io(&path, "rename"))?;
        }
        self.sync()
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}.partial"))
    }

    /// Waits until the names in the folder are on the disk. Other systems than Unix cannot sync a
    /// folder.
    fn sync(&self) -> Result<(), HubError> {
        if cfg!(unix) {
            File::open(&self.folder)
                .and_then(|folder| folder.sync_all())
                .map_err(HubError::io(&self.folder, "write"))?;
        }
        Ok(())
    }
}

impl Drop for AtomicFolder {
    fn drop(&mut self) {
        for name in &self.names {
            // `drop` cannot report an error, and a leftover temporary file is harmless.
            let _ = fs::remove_file(self.temporary(name));
        }
    }
}

fn write_through(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    // 1 MiB: the converter writes chunks of 128 to 256 KiB, each of which would be a system call.
    let mut sink = BufWriter::with_capacity(1 << 20, File::create(path)?);
    fill(&mut sink)?;
    sink.into_inner()?.sync_all()
}

fn remove_if_present(path: &Path) -> Result<(), HubError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(HubError::io(path, "remove")(error))
        }
        _ => Ok(()),
    }
}

/// Names of the weight files of an earlier model.
fn old_weights(folder: &Path) -> Result<Vec<String>, HubError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(HubError::io(folder, "read"))? {
        let name = entry.map_err(HubError::io(folder, "read"))?.file_name();
        names.extend(name.into_string().ok().filter(|name| is_weight_file(name)));
    }
    Ok(names)
}

fn is_weight_file(name: &str) -> bool {
    let is_shard =
        name.starts_with("model-") && name.contains("-of-") && name.ends_with(".safetensors");
    is_shard || name == INDEX || name == WEIGHTS
}
