//! Which devices there are, and why others cannot be used.

use std::thread;

use super::cuda_probe::cuda_devices;
use super::list::DeviceKind;
use super::memory::{memory_of_gpus, memory_of_machine};
use crate::system::error::UsageError;

/// What is known of one device, or of one kind of which there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceProbe {
    /// As `--device` takes it.
    pub name: String,
    /// What it is, or why it cannot be used.
    pub state: Result<String, String>,
    /// Its memory in bytes, if the system says.
    pub memory: Option<u64>,
}

/// Every device of this machine, and every kind that cannot be used, with the reason.
pub fn probe_all() -> Vec<DeviceProbe> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpu = DeviceProbe {
        name: "cpu".into(),
        state: Ok(format!("{cores} cores; `cpu:N` for N members on it")),
        memory: memory_of_machine(),
    };
    [cpu].into_iter().chain(gpus_of(DeviceKind::Cuda)).chain(gpus_of(DeviceKind::Wgpu)).collect()
}

fn gpus_of(kind: DeviceKind) -> Vec<DeviceProbe> {
    let name = kind.name();
    match usable(kind) {
        Err(problem) => {
            let hint = problem.hint().map_or_else(String::new, |hint| format!("; {hint}"));
            vec![DeviceProbe {
                name: name.into(),
                state: Err(format!("{problem}{hint}")),
                memory: None,
            }]
        }
        Ok(None) => {
            vec![DeviceProbe {
                name: name.into(),
                state: Ok("whatever its driver offers".into()),
                memory: None,
            }]
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

/// That devices of this kind with these numbers can be used.
pub(super) fn check(
    kind: DeviceKind,
    mut numbers: impl Iterator<Item = usize>,
) -> Result<(), UsageError> {
    let Some(count) = usable(kind)? else { return Ok(()) };
    match numbers.find(|number| *number >= count) {
        None => Ok(()),
        Some(missing) => {
            let problem = format!(
                "there is no device `{}:{missing}`, this machine has {count} of its kind",
                kind.name()
            );
            Err(UsageError::new(problem).with_hint("`covey devices` lists what can be used"))
        }
    }
}

/// How many devices of this kind there are, if that can be told without touching them.
fn usable(kind: DeviceKind) -> Result<Option<usize>, UsageError> {
    match kind {
        DeviceKind::Cpu => Ok(None),
        DeviceKind::Cuda if !cfg!(feature = "cuda") => Err(not_built_in(kind)),
        // The engine would fall over without its driver, on a thread that nobody can catch it on.
        DeviceKind::Cuda => cuda_devices().map(Some).map_err(|problem| {
            let hint = problem.hint().unwrap_or_else(|| "or use `--device cpu`".into());
            UsageError::new(problem.to_string()).with_hint(hint)
        }),
        DeviceKind::Wgpu if !cfg!(feature = "wgpu") => Err(not_built_in(kind)),
        DeviceKind::Wgpu => Ok(None),
    }
}

/// The refusal of a kind that was not compiled in.
pub(super) fn not_built_in(kind: DeviceKind) -> UsageError {
    let feature = kind.name();
    UsageError::new(format!("this program was built without {feature}")).with_hint(format!(
        "build it with `cargo build --release --features {feature}`, or use `--device cpu`"
    ))
}

impl DeviceKind {
    /// The word before the number.
    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }
}
