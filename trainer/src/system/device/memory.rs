//! The memory of this machine and its GPUs.

use std::fs;
use std::process::{Command, Stdio};

/// Bytes of main memory that this process can still allocate, if known: the smaller of the
/// available memory and the rest of its control group's limit.
pub fn memory_of_machine() -> Option<u64> {
    let available = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    // In a container, the machine has more memory than the process may use.
    [available, left_in_group()].into_iter().flatten().min()
}

/// Total bytes of each NVIDIA GPU in the order of `nvidia-smi`; empty if it is missing.
pub fn memory_of_gpus() -> Vec<u64> {
    // Through CUDA, the question would create a context on each GPU.
    let mut query = Command::new("nvidia-smi");
    query.args(["--query-gpu=memory.total", "--format=csv,noheader,nounits"]).stdin(Stdio::null());
    let Ok(output) = query.stderr(Stdio::null()).output() else { return Vec::new() };
    mebibytes(&String::from_utf8_lossy(&output.stdout))
}

fn available(meminfo: &str) -> Option<u64> {
    let kibibytes = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    kibibytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The unused part of this process's control group limit (cgroup version 2, as in containers).
fn left_in_group() -> Option<u64> {
    let read = |name: &str| {
        fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok()
    };
    // Without a limit the file contains `max`, which is not a number.
    Some(read("memory.max")?.saturating_sub(read("memory.current")?))
}

/// Parses one number in MiB per line.
fn mebibytes(text: &str) -> Vec<u64> {
    text.lines()
        .map_while(|line: &str| line.trim().parse::<u64>().ok()?.checked_mul(1 << 20))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_figures_of_the_system_are_parsed() {
        let meminfo = "MemTotal:       24000000 kB\nMemFree:  1 kB\nMemAvailable:   20000000 kB\n";
        assert_eq!(available(meminfo), Some(20_000_000 * 1024));
        assert_eq!(available("MemTotal: 3 kB\n"), None);
        assert_eq!(mebibytes("81559\n81559\n"), vec![81559 << 20; 2]);
        assert_eq!(mebibytes("No devices were found\n"), Vec::<u64>::new());
    }
}
