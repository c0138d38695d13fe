//! The measurements on a GPU for `scripts/gpu_check.py`. Each call prints one line of JSON.
//!
//! ```text
//! gpu_check parity DEVICE PRECISION FOLDER
//! gpu_check compression DEVICE
//! gpu_check speed DEVICES PRECISION PRESET SEQUENCES WARMUP STEPS
//! ```
//!
//! Works on all devices that the program was built for. On a CPU it compares the CPU with itself.

mod compression;
mod parity;
mod speed;

use std::io::Write;
use std::str::FromStr;

use anyhow::{Context, anyhow, bail};
use burn::tensor::Device;
use covey::system::device::DeviceList;
use covey_model::config::Precision;
use serde_json::Value;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let report = match words.as_slice() {
        ["parity", device, precision, folder] => {
            parity::report(&one_device(device)?, precision_of(precision)?, folder.as_ref())?
        }
        ["compression", device] => compression::report(&one_device(device)?)?,
        ["speed", devices, precision, preset, sequences, warmup, steps] => {
            let amount = speed::Amount {
                sequences: number(sequences)?,
                warmup: number(warmup)?,
                steps: number(steps)?,
            };
            speed::report(&list(devices)?, precision_of(precision)?, preset, amount)?
        }
        _ => bail!(
            "usage: gpu_check parity DEVICE PRECISION FOLDER | compression DEVICE \
             | speed DEVICES PRECISION PRESET SEQUENCES WARMUP STEPS"
        ),
    };
    print_line(&report)
}

fn print_line(report: &Value) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{report}")?)
}

fn list(devices: &str) -> anyhow::Result<DeviceList> {
    DeviceList::from_str(devices).map_err(|rule| anyhow!("`{devices}`: {rule}"))
}

fn one_device(name: &str) -> anyhow::Result<Device> {
    list(name)?.open()?.into_iter().next().context("a list of devices is never empty")
}

fn precision_of(precision: &str) -> anyhow::Result<Precision> {
    match precision {
        "fp32" => Ok(Precision::Fp32),
        "bf16" => Ok(Precision::Bf16),
        other => bail!("`{other}` is neither fp32 nor bf16"),
    }
}

fn number(text: &str) -> anyhow::Result<usize> {
    text.parse().with_context(|| format!("`{text}` is not a number"))
}
