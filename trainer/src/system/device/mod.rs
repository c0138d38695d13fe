//! The devices of this machine: their names, memory and speed.
//!
//! Start with [`DeviceList`].
//!
//! ```
//! use covey::system::device::{DeviceKind, DeviceList};
//!
//! let devices: DeviceList = "cuda:0-7".parse()?;
//! assert_eq!((devices.kind(), devices.members()), (DeviceKind::Cuda, 8));
//! # Ok::<(), String>(())
//! ```

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
