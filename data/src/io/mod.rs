//! Files on disk: content digests, atomic replacement, and reads with a limit.
//!
//! Every function returns [`std::io::Error`] without a path; the caller knows what the file is for
//! and adds both. This room never looks at the contents of a file. Start with [`FileDigest`] and
//! [`write_atomically`].
//!
//! ```rust
//! use covey_data::io::{FileDigest, FileSystem, write_bytes_atomically};
//!
//! # fn main() -> std::io::Result<()> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("notes.txt");
//! write_bytes_atomically(&FileSystem, &path, b"Call me Ishmael.")?;
//! assert_eq!(FileDigest::of_file(&path)?, FileDigest::of(b"Call me Ishmael."));
//! # Ok(())
//! # }
//! ```

mod atomic_file;
mod bounded_read;
mod digest;

pub use self::atomic_file::{
    DurableWrite, FileSystem, WriteTarget, write_atomically, write_bytes_atomically,
};
pub(crate) use self::bounded_read::{BoundedRead, MAX_JSON, read_file, read_line, read_to_end};
pub use self::digest::FileDigest;
