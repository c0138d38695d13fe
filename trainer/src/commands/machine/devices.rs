//! `covey devices`: lists usable devices, and the reasons why others are not usable.

use crate::system::device::{DeviceProbe, probe_all};
use crate::system::error::Result;
use crate::system::terminal::bytes;
use crate::system::terminal::output::print;

pub(crate) fn run() -> Result<()> {
    print(&probe_all().iter().map(line).collect::<String>())
}

fn line(finding: &DeviceProbe) -> String {
    let memory = finding
        .memory
        .map_or_else(String::new, |memory| format!(", {} of memory", bytes(memory as f64)));
    match &finding.state {
        Ok(state) => format!("{:<8} {state}{memory}\n", finding.name),
        Err(reason) => format!("{:<8} not usable: {reason}\n", finding.name),
    }
}
