//! Attention half of a block on slices, with scores for one tile of queries at a time.
//!
//! `forward` has the shapes and views that both directions share; start reading there.

mod backward;
pub(crate) mod forward;

pub(crate) use self::backward::backward;
pub(crate) use self::forward::TILE;
