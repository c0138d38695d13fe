//! Compression of the same pseudo-gradients on GPU and CPU: equality of the bytes, and time.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use covey_model::config::preset;
use covey_optim::codec::Codec;
use covey_optim::sparseloco::top_k::{CpuTopK, Share, TopK};
use covey_optim::sparseloco::{Compressor, Profile, Schema};
use serde_json::{Value, json};

/// Values sent per chunk of 4096; the default of a run.
const K: usize = 64;

/// Consecutive rounds, with error feedback from one to the next. Kernels are compiled in the first.
const ROUNDS: usize = 4;

/// Compares on the tensors of `150m` without embedding and head: 149 million values, 595 MB.
pub(crate) fn report(device: &Device) -> anyhow::Result<Value> {
    let model = preset("150m").expect("a built-in preset");
    let parameters = model.parameters();
    let blocks = parameters.iter().filter(|spec| spec.name.contains("layers"));
    let shapes: Vec<(&str, &[usize])> =
        blocks.map(|spec| (spec.name.as_str(), spec.shape.as_slice())).collect();
    let codec = Codec::new(Arc::new(Schema::new(Profile::Covey, K, shapes)?));
    let gradients: Vec<Vec<Vec<f32>>> =
        (0..ROUNDS).map(|round| pseudo_gradient(codec.schema(), round)).collect();

    let cpu = rounds(&codec, &gradients, &CpuTopK)?;
    let gpu = rounds(&codec, &gradients, selector(device)?.as_ref())?;
    let megabytes = 4e-6 * codec.schema().num_elements() as f64;
    Ok(json!({
        "equal": cpu.payloads == gpu.payloads,
        "bytes": cpu.payloads.iter().map(Vec::len).sum::<usize>(),
        "cpu_mb_per_second": megabytes / cpu.fastest,
        "gpu_mb_per_second": megabytes / gpu.fastest,
        "threads": std::thread::available_parallelism().map_or(1, usize::from),
    }))
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn selector(device: &Device) -> anyhow::Result<Box<dyn TopK>> {
    Ok(match covey_optim::sparseloco::top_k::CubeTopK::new(device) {
        Some(selector) => Box::new(selector),
        None => Box::new(CpuTopK),
    })
}

#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
fn selector(_: &Device) -> anyhow::Result<Box<dyn TopK>> {
    Ok(Box::new(CpuTopK))
}

/// The payloads of all rounds, and the seconds of the fastest round.
struct Rounds {
    payloads: Vec<Vec<u8>>,
    fastest: f64,
}

fn rounds(codec: &Codec, gradients: &[Vec<Vec<f32>>], select: &dyn TopK) -> anyhow::Result<Rounds> {
    let tensors = codec.schema().tensors().iter();
    let shares: Vec<Vec<Share<'_>>> =
        tensors.map(|spec| vec![Share { slabs: 0..spec.num_slabs(), select }]).collect();
    let mut compressor = Compressor::new(Arc::clone(codec.schema()), 0.95);
    let mut rounds = Rounds { payloads: Vec::new(), fastest: f64::INFINITY };
    for gradient in gradients {
        let slices: Vec<&[f32]> = gradient.iter().map(Vec::as_slice).collect();
        let start = Instant::now();
        let delta = compressor.compress_on(&slices, &shares)?;
        rounds.fastest = rounds.fastest.min(start.elapsed().as_secs_f64());
        rounds.payloads.push(codec.encode(&delta)?);
    }
    Ok(rounds)
}

/// Values of many magnitudes, a few much larger than the rest, as in real pseudo-gradients.
fn pseudo_gradient(schema: &Schema, round: usize) -> Vec<Vec<f32>> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64.wrapping_mul(round as u64 + 1) | 1;
    let tensors = schema.tensors().iter();
    tensors.map(|spec| (0..spec.grid().len()).map(|_| next_value(&mut state)).collect()).collect()
}

/// The cube of a xorshift number from -1 to 1, scaled to 1e-3.
fn next_value(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    ((*state >> 40) as f32 / (1 << 23) as f32 - 1.0).powi(3) * 1e-3
}
