//! Files that appear in a folder together or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::file_names::{CONFIG, INDEX, WEIGHTS};
use crate::error::HubError;

/// New files of a model folder, under temporary names until [`AtomicFolder::commit`].
///
/// A folder without `config.json` is no model to any reader. So the old config
/// goes first, the new one comes last, and a crash in between leaves a folder
/// that nobody takes for whole. Dropped without commit, the files vanish and
/// the folder is as it was.
#[derive(Debug)]
pub(super) struct AtomicFolder {
    folder: PathBuf,
    /// Final names, in order of writing.
    names: Vec<String>,
}

impl AtomicFolder {
    /// Makes the folder if need be.
    pub(super) fn new(folder: &Path) -> Result<Self, HubError> {
        fs::create_dir_all(folder).map_err(HubError::io(folder, "write"))?;
        Ok(Self { folder: folder.to_owned(), names: Vec::new() })
    }

    /// Writes the file to be called `name` and brings it to the disk.
    pub(super) fn write(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), HubError> {
        self.names.push(name.to_owned());
        write_through(&self.temporary(name), fill)
            .map_err(HubError::io(&self.folder.join(name), "write"))
    }

    /// Gives all files their names, in place of any model that was in the folder.
    pub(super) fn commit(mut self) -> Result<(), HubError> {
        remove_if_present(&self.folder.join(CONFIG))?;
        self.sync()?;
        for name in old_weights(&self.folder)? {
            remove_if_present(&self.folder.join(name))?;
        }
        self.names.sort_by_key(|name| name == CONFIG);
        for name in std::mem::take(&mut self.names) {
            let path = self.folder.join(&name);
            fs::rename(self.temporary(&name), &path).map_err(HubError::io(&path, "rename"))?;
        }
        self.sync()
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}.partial"))
    }

    /// Names are safe only once their folder is on the disk; elsewhere than on Unix that cannot be asked for.
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
            // Nothing better can be done about a temporary file that refuses to go.
            let _ = fs::remove_file(self.temporary(name));
        }
    }
}

fn write_through(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
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

/// Names of the weight files of an earlier export.
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
