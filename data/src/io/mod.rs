//! Digests of files, and files that are replaced atomically.

mod atomic_file;
mod digest;

pub use self::atomic_file::{Disk, DurableWrite, FileSystem, write_atomically, write_bytes_atomically};
pub use self::digest::Digest;
