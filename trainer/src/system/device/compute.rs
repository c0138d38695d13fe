//! The threads of this process, and the speed of a device.

use std::time::Instant;

use burn::tensor::{Device, FloatDType, Tensor};
use covey_model::config::Precision;

use crate::system::error::UsageError;

/// Limits the parallel work of this process to `threads` threads; `None` for all cores.
///
/// # Errors
/// [`UsageError`] if the number is 0 or the system cannot start the threads.
pub fn use_threads(threads: Option<usize>) -> Result<(), UsageError> {
    let Some(threads) = threads else { return Ok(()) };
    if threads == 0 {
        return Err(UsageError::new("the number of threads is 0")
            .with_hint("leave out `--threads` to use all cores"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.map_err(|error| UsageError::new(format!("cannot start {threads} threads: {error}")))
}

/// Measures the floating-point operations per second of a large matrix product on `device`; the
/// best of 20.
pub fn measured_peak(device: &Device, precision: Precision) -> f64 {
    const REPEATS: usize = 20;
    // Large enough to keep the device busy. The CPU needs a smaller one, because the 20 products
    // would take seconds otherwise.
    let size = if *device == Device::flex() { 1024 } else { 8192 };
    let matrix = Tensor::<2>::ones([size, size], device).cast(precision.dtype());
    let seconds = (0..REPEATS).map(|_| {
        let start = Instant::now();
        let product = matrix.clone().matmul(matrix.clone());
        // Reading one element waits until the device has finished.
        let _: f32 = product.slice([0..1, 0..1]).cast(FloatDType::F32).into_scalar();
        start.elapsed().as_secs_f64()
    });
    2.0 * (size as f64).powi(3) / seconds.fold(f64::INFINITY, f64::min)
}
