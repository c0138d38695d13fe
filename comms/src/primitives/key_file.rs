//! The file of a secret key: one line, readable by its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::hex;

/// The start of the line in a key file; 64 hexadecimal digits of the secret follow.
const LABEL: &str = "covey-key-1 ";

/// Label, digits and line end.
const LENGTH: usize = LABEL.len() + 64 + 1;

/// An error about a key file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file does not exist.
    #[error("key file {path} does not exist")]
    Missing {
        /// The file.
        path: PathBuf,
    },

    /// A new key would replace an existing one.
    #[error("key file {path} already exists")]
    Exists {
        /// The existing file.
        path: PathBuf,
    },

    /// Other users can read the file, so the key may no longer be secret.
    #[error("key file {path} has mode {mode:03o}: other users can read it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },

    /// The contents of the file are not a key.
    #[error("key file {path} does not hold one line `covey-key-1 ` with 64 hexadecimal digits")]
    Malformed {
        /// The file.
        path: PathBuf,
    },

    /// The system refused a read.
    #[error("cannot read key file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },

    /// The system refused a write; no partial file remains under the name.
    #[error("cannot write key file {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl IdentityError {
    /// Advice to the user, if there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some("use the existing key, or name another file".into()),
            Self::Exposed { path, .. } => Some(format!(
                "run `chmod 600 {}`; create a new key if another user may have read this one",
                path.display()
            )),
            Self::Malformed { .. } => {
                Some("restore the file from a copy; a lost key cannot be computed again".into())
            }
            Self::Missing { .. } | Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

/// Writes a secret to a new file, which is complete or absent after a crash.
pub(crate) fn write_new(path: &Path, secret: &[u8; 32]) -> Result<(), IdentityError> {
    let draft = draft_path(path);
    // A hard link fails if the name exists; a rename would replace another key.
    let outcome = write_draft(&draft, secret).and_then(|()| fs::hard_link(&draft, path));
    // The draft is no longer needed. If it cannot be removed, it does no harm.
    let _ = fs::remove_file(&draft);
    outcome.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => IdentityError::Exists { path: path.into() },
        _ => IdentityError::Write { path: path.into(), source },
    })
}

/// A name in the folder of `path` that no other process uses.
fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_draft(draft: &Path, secret: &[u8; 32]) -> io::Result<()> {
    // The draft of an earlier process with the same ID that was killed.
    let _ = fs::remove_file(draft);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // On creation, because a later change would leave the secret readable for a moment.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(draft)?;
    file.write_all(line(secret).as_bytes())?;
    file.sync_all()
}

fn line(secret: &[u8; 32]) -> String {
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{LABEL}{digits}\n")
}

/// Reads a secret from a file that only its owner can read.
pub(crate) fn read(path: &Path) -> Result<[u8; 32], IdentityError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => IdentityError::Missing { path: path.into() },
        _ => IdentityError::Read { path: path.into(), source },
    })?;
    refuse_exposed(path, &file)?;
    let mut text = String::new();
    // One byte more than a key file has: a longer file is recognised without reading all of it.
    let read = file.take(LENGTH as u64 + 1).read_to_string(&mut text);
    match read {
        // `InvalidData` is text that is not UTF-8, which is malformed rather than unreadable.
        Err(source) if source.kind() != io::ErrorKind::InvalidData => {
            Err(IdentityError::Read { path: path.into(), source })
        }
        _ => parse(&text).ok_or_else(|| IdentityError::Malformed { path: path.into() }),
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let text = text.strip_prefix(LABEL)?;
    // Editors may drop the last line end.
    hex::parse_32(text.strip_suffix('\n').unwrap_or(text))
}

/// Checks the permissions of the open file. Meanwhile its name may refer to another file.
#[cfg(unix)]
fn refuse_exposed(path: &Path, file: &File) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;

    let metadata =
        file.metadata().map_err(|source| IdentityError::Read { path: path.into(), source })?;
    match metadata.permissions().mode() & 0o777 {
        mode if mode & 0o077 == 0 => Ok(()),
        mode => Err(IdentityError::Exposed { path: path.into(), mode }),
    }
}

/// Other systems have no mode bits; there the file is protected by the folder of the user.
#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _file: &File) -> Result<(), IdentityError> {
    Ok(())
}
