//! The largest values of each chunk, on CPU and GPU, with equal results.

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
