//! Attention on slices, one tile of queries at a time.

mod backward;
pub(crate) mod forward;

pub(crate) use self::backward::backward;
pub(crate) use self::forward::TILE;
