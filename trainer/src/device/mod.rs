//! Where tensors live, and what there is to compute with.
//!
//! One process drives every device it is given. Each place of a [`DeviceList`] is a *member*: it owns a part of all
//! weights, moments and gradients, and trains on windows of its own.

mod compute;
mod list;
mod memory;
mod survey;

pub use compute::{measured_peak, use_threads};
pub use list::{DeviceKind, DeviceList, open_one};
pub use memory::{memory_of_gpus, memory_of_machine};
pub use survey::{Finding, survey};
