//! The file that holds a peer's secret key: one line, readable by its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::hex;

/// What the line of a key file begins with; 64 hexadecimal digits of the secret follow.
const LABEL: &str = "covey-key-1 ";

/// Label, digits and line end.
const LENGTH: usize = LABEL.len() + 64 + 1;

/// Everything that can be wrong with a key file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// No file of that name.
    #[error("key file {path} does not exist")]
    Missing {
        /// The file that was asked for.
        path: PathBuf,
    },

    /// A new identity would replace an old one.
    #[error("key file {path} exists already")]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },

    /// Others than its owner can read the file, so the key must be taken for known.
    #[error("key file {path} has mode {mode:03o}, others may read it")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },

    /// A file that holds something else than a key.
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

    /// The system refused a write; no part of a key stays behind under the file's name.
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
    /// What the person at the keyboard can do, if anything.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some("use the key that is there, or name another file".into()),
            Self::Exposed { path, .. } => {
                Some(format!("run `chmod 600 {}` if nobody else has seen it", path.display()))
            }
            Self::Malformed { .. } => {
                Some("restore the file from a copy; a lost key cannot be computed again".into())
            }
            Self::Missing { .. } | Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

/// Writes a secret under a name that must be free; the file appears whole or not at all.
pub(crate) fn write_new(path: &Path, secret: &[u8; 32]) -> Result<(), IdentityError> {
    let draft = draft_path(path);
    let outcome = write_draft(&draft, secret).and_then(|()| fs::hard_link(&draft, path));
    // The draft has served, or never will; a name that is left over is only untidy.
    let _ = fs::remove_file(&draft);
    outcome.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => IdentityError::Exists { path: path.into() },
        _ => IdentityError::Write { path: path.into(), source },
    })
}

/// A name beside `path` that no other process uses.
fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_draft(draft: &Path, secret: &[u8; 32]) -> io::Result<()> {
    // Left by a process of our number that was killed.
    let _ = fs::remove_file(draft);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
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

/// Reads a secret back, if only its owner could have.
pub(crate) fn read(path: &Path) -> Result<[u8; 32], IdentityError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => IdentityError::Missing { path: path.into() },
        _ => IdentityError::Read { path: path.into(), source },
    })?;
    refuse_exposed(path, &file)?;
    let mut text = String::new();
    // One byte more than a key file has, so that longer files are noticed and never read whole.
    let read = file.take(LENGTH as u64 + 1).read_to_string(&mut text);
    match read {
        Err(source) if source.kind() != io::ErrorKind::InvalidData => {
            Err(IdentityError::Read { path: path.into(), source })
        }
        _ => parse(&text).ok_or_else(|| IdentityError::Malformed { path: path.into() }),
    }
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let text = text.strip_prefix(LABEL)?;
    hex::parse_32(text.strip_suffix('\n').unwrap_or(text))
}

/// Judges the open file, not its name: the file behind a name can change between two looks.
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

/// Other systems have no mode bits; there the folder of the user's profile has to protect the file.
#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _file: &File) -> Result<(), IdentityError> {
    Ok(())
}
