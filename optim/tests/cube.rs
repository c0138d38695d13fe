//! GPU kernels compared with the CPU, on any device that wgpu finds: a GPU, or a Vulkan driver that
//! runs on the CPU.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::sync::Arc;

use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use covey_optim::codec::Codec;
use covey_optim::inner::{AdamW, AdamWConfig};
use covey_optim::sparseloco::top_k::{CubeTopK, Selector, Share};
use covey_optim::sparseloco::{CodedValue, Compressor, Profile, Schema, TensorSpec};

fn device() -> Device {
    Device::wgpu(DeviceKind::DefaultDevice)
}

fn spec(profile: Profile, shape: &[usize]) -> TensorSpec {
    Schema::new(profile, 64, [("tensor", shape)]).unwrap().tensors()[0].clone()
}

/// Bit patterns of every kind, with many ties: subnormal, tiny, huge, both zeros, NaN and infinity.
fn patterns(length: usize, seed: u32) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let value = |bits: u32| match bits % 5 {
        0 => f32::from_bits(bits),
        1 => f32::from_bits(bits & 0x8000_0007),
        2 => (bits as i32 >> 28) as f32,
        _ => f32::from_bits(bits & 0x807f_ffff | 0x3f80_0000),
    };
    (0..length).map(|_| value(next())).collect()
}

/// Positions of each chunk according to the CPU.
fn on_the_cpu(spec: &TensorSpec, values: &[f32]) -> Vec<u32> {
    let grid = spec.grid();
    let mut positions = Vec::new();
    for chunk in 0..values.len().div_ceil(grid.chunk_len()) {
        let last = (chunk + 1) * grid.chunk_len() > values.len();
        let (length, kept) = if last {
            (grid.last_chunk_len(), spec.kept_last())
        } else {
            (grid.chunk_len(), spec.kept())
        };
        let tile: Vec<f32> =
            (0..length).map(|position| values[grid.index(chunk, position)]).collect();
        let mut entries = vec![CodedValue::default(); kept];
        Selector::default().select(&tile, &mut entries);
        positions.extend(entries.iter().map(|entry| entry.position() as u32));
    }
    positions
}

#[test]
fn positions_agree_with_the_cpu() {
    let selector = CubeTopK::new(&device()).unwrap();
    for profile in [Profile::Reference, Profile::Covey] {
        for shape in [
            &[128, 192][..],
            &[100, 36],
            &[67, 64],
            &[192, 127],
            &[1, 1],
            &[96],
            &[4096],
            &[9001],
            &[1],
        ] {
            let spec = spec(profile, shape);
            let values = patterns(spec.grid().len(), 7);
            let expected = on_the_cpu(&spec, &values);
            assert_eq!(
                selector.positions(&spec, values).unwrap(),
                expected,
                "{profile:?} {shape:?}"
            );
        }
    }
}

#[test]
fn lower_positions_win_ties() {
    let selector = CubeTopK::new(&device()).unwrap();
    let spec = spec(Profile::Covey, &[64, 128]);
    for value in [0.0, -1.5] {
        let positions = selector.positions(&spec, vec![value; 64 * 128]).unwrap();
        assert_eq!(positions, (0..64).chain(0..64).collect::<Vec<_>>());
    }
}

#[test]
fn slabs_can_be_processed_separately() {
    let selector = CubeTopK::new(&device()).unwrap();
    let spec = spec(Profile::Covey, &[256, 128]);
    let values = patterns(spec.grid().len(), 3);
    let whole = selector.positions(&spec, values.clone()).unwrap();
    let (first, rest) = values.split_at(spec.grid().slab_len());
    let mut parts = selector.positions(&spec, first.to_vec()).unwrap();
    parts.extend(selector.positions(&spec, rest.to_vec()).unwrap());
    assert_eq!(parts, whole);
}

#[test]
fn chunks_may_exceed_a_row_of_cubes() {
    let selector = CubeTopK::new(&device()).unwrap();
    // Blocks of 2 by 2: 69,169 chunks.
    let spec = spec(Profile::Covey, &[526, 526]);
    let values = patterns(spec.grid().len(), 5);
    let expected = on_the_cpu(&spec, &values);
    assert_eq!(selector.positions(&spec, values).unwrap(), expected);
}

#[test]
fn gpu_and_cpu_make_the_same_delta() {
    let selector = CubeTopK::new(&device()).unwrap();
    let shapes = [("bias", &[5000][..]), ("down", &[192, 100]), ("up", &[256, 128])];
    for (profile, dct) in
        [(Profile::Reference, false), (Profile::Covey, false), (Profile::Covey, true)]
    {
        let schema = Arc::new(
            if dct { Schema::with_dct } else { Schema::new }(profile, 64, shapes).unwrap(),
        );
        let codec = Codec::new(Arc::clone(&schema));
        let (mut on_the_gpu, mut on_the_cpu) =
            (Compressor::new(Arc::clone(&schema), 0.95), Compressor::new(schema, 0.95));
        for round in 0..3 {
            let gradients: Vec<Vec<f32>> = codec
                .schema()
                .tensors()
                .iter()
                .map(|spec| wave(spec.grid().len(), round as f32))
                .collect();
            let gradients: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
            let shares: Vec<Vec<Share<'_>>> =
                codec.schema().tensors().iter().map(|spec| halves(spec, &selector)).collect();
            let gpu = on_the_gpu.compress_on(&gradients, &shares).unwrap();
            let cpu = on_the_cpu.compress(&gradients).unwrap();
            assert_eq!(
                codec.encode(&gpu).unwrap(),
                codec.encode(&cpu).unwrap(),
                "{profile:?}, round {round}"
            );
            assert_eq!(on_the_gpu.errors(), on_the_cpu.errors());
        }
    }
}

/// A tensor shared between two selectors.
fn halves<'a>(spec: &TensorSpec, select: &'a CubeTopK) -> Vec<Share<'a>> {
    let middle = spec.num_slabs() / 2;
    [0..middle, middle..spec.num_slabs()].map(|slabs| Share { slabs, select }).into()
}

#[test]
fn the_cpu_has_no_cube_selector() {
    assert!(CubeTopK::new(&Device::flex()).is_none());
}

fn wave(length: usize, seed: f32) -> Vec<f32> {
    (0..length).map(|index| (index as f32 * 0.37 + seed).sin() * (1.0 + seed)).collect()
}

fn tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().into_data().try_into_vec().unwrap()
}

/// Parameters and moments after a few steps on `device`.
fn trained(device: &Device, length: usize) -> [Vec<f32>; 3] {
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let mut parameter = tensor(wave(length, 0.1), device);
    for step in 1..=5_u64 {
        let gradient = tensor(wave(length, step as f32), device);
        optimizer.step([(&mut parameter, &gradient)], 0.01 / step as f64, 0.5).unwrap();
    }
    let moments = optimizer.state().moments.remove(0);
    [values(&parameter), moments.first, moments.second]
}

#[test]
fn adamw_agrees_with_the_cpu() {
    for length in [1, 1000, 70_001] {
        let (gpu, cpu) = (trained(&device(), length), trained(&Device::flex(), length));
        for (gpu, cpu) in gpu.iter().flatten().zip(cpu.iter().flatten()) {
            // A device may fuse a product and a sum: an ulp or two per step.
            assert!((gpu - cpu).abs() <= 1e-6 * cpu.abs().max(0.1), "{gpu} and {cpu}");
        }
    }
}

#[test]
fn clones_of_a_parameter_keep_their_values() {
    let device = device();
    let mut parameter = tensor(wave(100, 0.1), &device);
    let snapshot = parameter.clone();
    let gradient = tensor(wave(100, 0.2), &device);
    AdamW::new(AdamWConfig::default()).step([(&mut parameter, &gradient)], 0.1, 1.0).unwrap();
    assert_eq!(values(&snapshot), wave(100, 0.1));
    assert_ne!(values(&parameter), wave(100, 0.1));
}
