//! Top-k: the values of largest magnitude of each chunk, on CPU and GPU, with equal results.
//!
//! Implementations of [`TopK`] differ only in speed; all peers get the same positions. The folder
//! never quantizes values. Start with `selector` (the trait and its laws), then `cpu` (the
//! algorithm).
//!
//! ```rust
//! use covey_optim::sparseloco::CodedValue;
//! use covey_optim::sparseloco::top_k::Selector;
//!
//! let mut entries = [CodedValue::default(); 2];
//! Selector::default().select(&[1.0, -3.0, 2.0, 3.0], &mut entries);
//! assert_eq!(entries.map(CodedValue::position), [1, 3]);
//! ```

mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod partition;
mod selector;
mod torch_order;

pub use self::cpu::Selector;
#[cfg(feature = "cube")]
pub use self::cube::{CubeError, CubeTopK};
pub use self::partition::Share;
pub(crate) use self::partition::{check_shares, select};
pub use self::selector::{CpuTopK, TopK, Work};
