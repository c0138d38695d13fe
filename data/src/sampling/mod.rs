//! Which windows come next: a seeded order that is computed instead of stored.

mod assignment;
mod cursor;
mod mixture;
mod permutation;
mod prefetch;
mod window_sampler;

pub use self::assignment::Assignment;
pub use self::cursor::{Cursor, SourceCursor};
pub use self::mixture::Mixture;
pub use self::permutation::Permutation;
pub use self::prefetch::{Batch, PrefetchLoader};
pub use self::window_sampler::{WindowSampler, WindowSource};
