//! The devices of one process as text: `cpu`, `cpu:4`, `cuda:0-7`, `cuda:0,2`, `wgpu`.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use covey_model::config::Precision;

use super::probe;
use crate::system::error::UsageError;

/// Most shards of a process: far more than the devices of any machine, and small enough to allocate
/// a list of them.
const MOST_MEMBERS: usize = 1024;

/// The kind of all devices of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// The CPU with all its cores.
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
    /// GPUs through WebGPU: Vulkan, Metal or DirectX.
    Wgpu,
}

/// The devices of one process, one for each shard.
///
/// - There is at least one, and all are of one kind.
/// - A device may be listed several times; its shards share it. The number after `cpu` is the
///   number of shards, because there is only one CPU.
///
/// ```
/// # use covey::system::device::DeviceList;
/// let devices: DeviceList = "cuda:0-2,5".parse()?;
/// assert_eq!(devices.members(), 4);
/// assert_eq!(devices.to_string(), "cuda:0-2,5");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceList {
    kind: DeviceKind,
    /// Number of the device of each shard; all 0 on the CPU.
    numbers: Vec<usize>,
    written: String,
}

impl DeviceList {
    /// The kind of the devices.
    pub fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// The number of shards, at least 1.
    pub fn members(&self) -> usize {
        self.numbers.len()
    }

    /// The number of shards on the device of shard `member`.
    pub fn sharers(&self, member: usize) -> usize {
        self.numbers.iter().filter(|number| self.numbers.get(member) == Some(number)).count()
    }

    /// The first device alone.
    #[must_use]
    pub fn first(&self) -> Self {
        Self { numbers: self.numbers[..1].to_vec(), ..self.clone() }
    }

    /// The default precision: bf16 on NVIDIA GPUs, which compute faster in half the bytes, and fp32
    /// otherwise.
    pub fn usual_precision(&self) -> Precision {
        match self.kind {
            DeviceKind::Cuda => Precision::Bf16,
            DeviceKind::Cpu | DeviceKind::Wgpu => Precision::Fp32,
        }
    }

    /// Checks that all devices can be used, without opening them.
    ///
    /// # Errors
    /// [`UsageError`] for a kind without support in this build, or a device that does not exist.
    pub fn check(&self) -> Result<(), UsageError> {
        probe::check(self.kind, self.numbers.iter().copied())
    }

    /// Opens the devices, one for each shard.
    ///
    /// # Errors
    /// As for [`DeviceList::check`].
    pub fn open(&self) -> Result<Vec<Device>, UsageError> {
        self.check()?;
        self.numbers.iter().map(|number| open(self.kind, *number)).collect()
    }
}

impl fmt::Display for DeviceList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl FromStr for DeviceList {
    type Err = String;

    /// The error describes the format of a list.
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        let (kind, numbers) = match kind {
            "cpu" => (DeviceKind::Cpu, rest.map_or(Some(1), count).map(|members| vec![0; members])),
            "cuda" => (DeviceKind::Cuda, rest.map_or(Some(vec![0]), numbers)),
            "wgpu" => (DeviceKind::Wgpu, rest.map_or(Some(vec![0]), numbers)),
            _ => (DeviceKind::Cpu, None),
        };
        let written = text.to_owned();
        numbers.map(|numbers| Self { kind, numbers, written }).ok_or_else(|| {
            "must be `cpu`, `cpu:4` for four shards on it, \
             or GPUs as `cuda:0`, `cuda:0-7`, `cuda:0,2`, `wgpu:0`"
                .into()
        })
    }
}

/// The number of shards on the CPU.
fn count(text: &str) -> Option<usize> {
    number(text).filter(|count| (1..=MOST_MEMBERS).contains(count))
}

/// Parses `0-2,5` as 0, 1, 2, 5.
fn numbers(text: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        // Checked before the list grows, so `0-65535` cannot allocate much.
        if first > last || last - first >= MOST_MEMBERS - numbers.len() {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// Accepts digits only. The parser of the standard library would accept a sign as well.
fn number(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u16>().ok().filter(|_| digits).map(usize::from)
}

/// Opens the first device of a list, for work that is not divided.
///
/// # Errors
/// [`UsageError`] for an invalid list, or a device that cannot be used.
pub fn open_one(written: &str) -> Result<Device, UsageError> {
    let list: DeviceList =
        written.parse().map_err(|rule| UsageError::new(format!("--device = {written}: {rule}")))?;
    Ok(list.first().open()?.remove(0))
}

fn open(kind: DeviceKind, number: usize) -> Result<Device, UsageError> {
    match kind {
        DeviceKind::Cpu => Ok(Device::flex()),
        DeviceKind::Cuda => cuda(number),
        DeviceKind::Wgpu => wgpu(number),
    }
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Device, UsageError> {
    Ok(Device::cuda(number))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device, UsageError> {
    Err(probe::not_built_in(DeviceKind::Cuda))
}

#[cfg(feature = "wgpu")]
fn wgpu(number: usize) -> Result<Device, UsageError> {
    use burn::tensor::DeviceKind;
    // Number 0 is the adapter that the driver prefers; it may be an integrated GPU.
    let kind =
        if number == 0 { DeviceKind::DefaultDevice } else { DeviceKind::DiscreteGpu(number) };
    Ok(Device::wgpu(kind))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(_: usize) -> Result<Device, UsageError> {
    Err(probe::not_built_in(DeviceKind::Wgpu))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Option<Vec<usize>> {
        text.parse::<DeviceList>().ok().map(|list| list.numbers)
    }

    #[test]
    fn lists_have_one_device_per_shard() {
        assert_eq!(members("cpu"), Some(vec![0]));
        assert_eq!(members("cpu:4"), Some(vec![0; 4]));
        assert_eq!(members("cuda"), Some(vec![0]));
        assert_eq!(members("cuda:3"), Some(vec![3]));
        assert_eq!(members("cuda:0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(members("cuda:0,0"), Some(vec![0, 0]));
        assert_eq!(members("wgpu:1"), Some(vec![1]));
    }

    #[test]
    fn invalid_lists_are_rejected() {
        let nonsense = [
            "",
            "gpu",
            "cpu:0",
            "cpu:-1",
            "cpu:+2",
            "cpu:1-2",
            "cuda:",
            "cuda:x",
            "cuda:2-1",
            "cuda:0-9999",
        ];
        for text in nonsense.into_iter().chain([
            "cuda:0,,1",
            "cuda:-1",
            "wgpu:1:2",
            "cpu:5000",
            "CPU",
            " cpu",
        ]) {
            assert_eq!(members(text), None, "{text}");
        }
    }

    #[test]
    fn shards_on_one_device_share_it() {
        let list: DeviceList = "cuda:0,1,0".parse().unwrap();
        assert_eq!([0, 1, 2].map(|member| list.sharers(member)), [2, 1, 2]);
        assert_eq!(list.first().members(), 1);
    }
}
