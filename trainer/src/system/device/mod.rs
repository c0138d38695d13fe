//! The devices of this machine: which there are, their memory, and their speed.

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
