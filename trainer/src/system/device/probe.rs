//! Usable devices, and the reasons why others cannot be used.

use std::thread;

use super::cuda_probe::cuda_devices;
use super::list::DeviceKind;
use super::memory::{memory_of_gpus, memory_of_machine};
use crate::system::error::{Hint, UsageError};

/// A device of this machine, or a kind without a usable device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceProbe {
    /// The name for `--device`.
    pub name: String,
    /// A description, or the reason why it cannot be used.
    pub state: Result<String, String>,
    /// Its memory in bytes, if known.
    pub memory: Option<u64>,
}

/// Returns every device of this machine, and every kind that cannot be used with the reason.
pub fn probe_all() -> Vec<DeviceProbe> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpu = DeviceProbe {
        name: "cpu".into(),
        state: Ok(format!("{cores} cores; `cpu:N` for N shards on it")),
        memory: memory_of_machine(),
    };
    [cpu].into_iter().chain(gpus_of(DeviceKind::Cuda)).chain(gpus_of(DeviceKind::Wgpu)).collect()
}

fn gpus_of(kind: DeviceKind) -> Vec<DeviceProbe> {
    let name = kind.name();
    match usable(kind) {
        Err(problem) => {
            let hint = problem.hint().map_or_else(String::new, |hint| format!("; {hint}"));
            let state = Err(format!("{problem}{hint}"));
            vec![DeviceProbe { name: name.into(), state, memory: None }]
        }
        Ok(None) => {
            let state = Ok("selected by the driver".into());
            vec![DeviceProbe { name: name.into(), state, memory: None }]
        }
        Ok(Some(count)) => {
            let memory = memory_of_gpus();
            (0..count)
                .map(|number| DeviceProbe {
                    name: format!("{name}:{number}"),
                    state: Ok("NVIDIA GPU".into()),
                    memory: memory.get(number).copied(),
                })
                .collect()
        }
    }
}

/// Checks that the devices of this kind with these numbers can be used.
pub(super) fn check(
    kind: DeviceKind,
    mut numbers: impl Iterator<Item = usize>,
) -> Result<(), UsageError> {
    let Some(count) = usable(kind)? else { return Ok(()) };
    match numbers.find(|number| *number >= count) {
        None => Ok(()),
        Some(missing) => {
            let problem = format!(
                "device `{}:{missing}` does not exist; this machine has {count} of this kind",
                kind.name()
            );
            Err(UsageError::new(problem).with_hint("run `covey devices` to list usable devices"))
        }
    }
}

/// Number of devices of this kind, if it can be found without opening them.
fn usable(kind: DeviceKind) -> Result<Option<usize>, UsageError> {
    match kind {
        DeviceKind::Cpu => Ok(None),
        DeviceKind::Cuda if !cfg!(feature = "cuda") => Err(not_built_in(kind)),
        // Without this check, Burn would panic on a separate thread, where the panic cannot be
        // caught.
        DeviceKind::Cuda => cuda_devices().map(Some).map_err(|problem| {
            let hint = problem.hint().unwrap_or_else(|| "use `--device cpu`".into());
            UsageError::new(problem.to_string()).with_hint(hint)
        }),
        DeviceKind::Wgpu if !cfg!(feature = "wgpu") => Err(not_built_in(kind)),
        DeviceKind::Wgpu => Ok(None),
    }
}

/// The error for a kind without support in this build.
pub(super) fn not_built_in(kind: DeviceKind) -> UsageError {
    let feature = kind.name();
    UsageError::new(format!("this program was built without {feature}")).with_hint(format!(
        "build it with `cargo build --release --features {feature}`, or use `--device cpu`"
    ))
}

impl DeviceKind {
    /// The name before the colon.
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }
}
