//! Digests of files, and files that are replaced atomically.

mod atomic_file;
mod digest;

pub use self::atomic_file::{
    DurableWrite, FileSystem, WriteTarget, write_atomically, write_bytes_atomically,
};
pub use self::digest::FileDigest;
