//! How many threads compute, and how fast a device is.

use std::time::Instant;

use burn::tensor::{Device, FloatDType, Tensor};
use covey_model::config::Precision;

use crate::system::error::UsageError;

/// Makes all parallel work of this process use `threads` threads, every core without a number.
///
/// # Errors
/// [`UsageError`] if there are no threads to be had.
pub fn use_threads(threads: Option<usize>) -> Result<(), UsageError> {
    let Some(threads) = threads else { return Ok(()) };
    if threads == 0 {
        return Err(UsageError::new("0 threads do no work")
            .with_hint("leave `--threads` out to use every core"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.map_err(|error| UsageError::new(format!("cannot start {threads} threads: {error}")))
}

/// Floating-point operations per second that a large matrix product reaches on `device` right now, the best of a few.
pub fn measured_peak(device: &Device, precision: Precision) -> f64 {
    const REPEATS: usize = 20;
    // Enough for the device to be busy, little enough for the processor to be quick.
    let size = if *device == Device::flex() { 1024 } else { 8192 };
    let matrix = Tensor::<2>::ones([size, size], device).cast(precision.dtype());
    let seconds = (0..REPEATS).map(|_| {
        let start = Instant::now();
        let product = matrix.clone().matmul(matrix.clone());
        // Reading one element waits for the device.
        let _: f32 = product.slice([0..1, 0..1]).cast(FloatDType::F32).into_scalar();
        start.elapsed().as_secs_f64()
    });
    2.0 * (size as f64).powi(3) / seconds.fold(f64::INFINITY, f64::min)
}
