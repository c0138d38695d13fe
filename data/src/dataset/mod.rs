//! A folder of token shards: its manifest, its shards, and the windows in them.

mod dataset;
mod held_out;
mod manifest;
mod shard;
mod windows;

pub use self::dataset::Dataset;
pub use self::held_out::HeldOutWindows;
pub(crate) use self::manifest::is_plain_name;
pub use self::manifest::{
    DatasetManifest, MANIFEST_FILE, ShardRecord, Split, SplitTotals, TokenType,
};
pub(crate) use self::shard::{Shard, header};
pub use self::windows::Windows;
