//! The devices of this machine: their names, memory and speed.
//!
//! Start with [`DeviceList`].

mod compute;
mod cuda_probe;
mod list;
mod memory;
mod probe;

pub use self::compute::{measured_peak, use_threads};
pub use self::cuda_probe::{CudaProblem, cuda_devices};
pub use self::list::{DeviceKind, DeviceList, open_one};
pub use self::memory::{memory_of_gpus, memory_of_machine};
pub use self::probe::{DeviceProbe, probe_all};
