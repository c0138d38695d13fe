//! Where tensors live, and how many threads compute.

use burn::tensor::Device;

use crate::diagnostics::UsageError;

/// The device called `name`: `cpu`, `cuda:N` or `wgpu:N`.
///
/// # Errors
/// [`UsageError`] for a name that is none, or a device that this program was built without.
pub fn open(name: &str) -> Result<Device, UsageError> {
    let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
    let unknown = || UsageError::new(format!("there is no device `{name}`")).with_hint("use cpu, cuda:N or wgpu:N");
    let index: usize = index.parse().map_err(|_| unknown())?;
    match (kind, index) {
        ("cpu", 0) => Ok(Device::flex()),
        ("cuda", index) => cuda(index),
        ("wgpu", index) => wgpu(index),
        _ => Err(unknown()),
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, UsageError> {
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device, UsageError> {
    Err(not_built_in("cuda"))
}

#[cfg(feature = "wgpu")]
fn wgpu(index: usize) -> Result<Device, UsageError> {
    use burn::tensor::DeviceKind;
    let kind = if index == 0 { DeviceKind::DefaultDevice } else { DeviceKind::DiscreteGpu(index) };
    Ok(Device::wgpu(kind))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(_: usize) -> Result<Device, UsageError> {
    Err(not_built_in("wgpu"))
}

#[cfg(not(all(feature = "cuda", feature = "wgpu")))]
fn not_built_in(feature: &str) -> UsageError {
    UsageError::new(format!("this program was built without {feature}"))
        .with_hint(format!("build it with `cargo build --release --features {feature}`, or use `--device cpu`"))
}

/// Makes all parallel work of this process use `threads` threads, every core without a number.
///
/// # Errors
/// [`UsageError`] if there are no threads to be had.
pub fn use_threads(threads: Option<usize>) -> Result<(), UsageError> {
    let Some(threads) = threads else { return Ok(()) };
    if threads == 0 {
        return Err(UsageError::new("0 threads do no work").with_hint("leave `--threads` out to use every core"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.map_err(|error| UsageError::new(format!("cannot start {threads} threads: {error}")))
}

/// Floating-point operations per second that a large matrix product reaches on `device` right now, the best of a few.
pub fn measured_peak(device: &Device) -> f64 {
    const SIZE: usize = 1024;
    const REPEATS: usize = 20;
    let matrix = burn::tensor::Tensor::<2>::ones([SIZE, SIZE], device);
    let seconds = (0..REPEATS).map(|_| {
        let start = std::time::Instant::now();
        let product = matrix.clone().matmul(matrix.clone());
        // Reading one element waits for the device.
        let _: f32 = product.slice([0..1, 0..1]).into_scalar();
        start.elapsed().as_secs_f64()
    });
    2.0 * (SIZE as f64).powi(3) / seconds.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_none_is_refused() {
        for name in ["gpu", "cpu:1", "cuda:x", "", "wgpu:-1"] {
            assert!(open(name).is_err(), "{name}");
        }
        assert!(open("cpu").is_ok() && open("cpu:0").is_ok());
    }
}
