//! A delta has the same bytes for any number of members that share the work.
#![expect(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod synthetic;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use covey_optim::codec::Codec;
use covey_optim::fsdp::{FsdpError, ParameterSize, Plan, slab_alignment};
use covey_optim::sparseloco::top_k::{CpuTopK, Share, TopK};
use covey_optim::sparseloco::{
    CodedValue, Compressor, Profile, Schema, SparseLocoError, TensorSpec,
};
use synthetic::heavy_tailed;

/// Units in canonical order, which is not that of names. With a vector of several chunks, a ragged
/// one, and rows that 64 does not divide.
const UNITS: [&[(&str, &[usize])]; 3] = [
    &[("table", &[512, 192])],
    &[("norm", &[96]), ("query", &[192, 128]), ("bias", &[9000]), ("odd", &[100, 36])],
    &[("final", &[4096]), ("head", &[512, 192])],
];

fn parameters() -> impl Iterator<Item = (&'static str, &'static [usize])> {
    UNITS.into_iter().flatten().copied()
}

fn plan(members: usize) -> Plan {
    let size = |(_, shape): &(_, &[usize])| ParameterSize {
        elements: shape.iter().product(),
        alignment: slab_alignment(shape),
    };
    Plan::new(members, UNITS.iter().map(|unit| unit.iter().map(size).collect()).collect()).unwrap()
}

fn schemas() -> impl Iterator<Item = Arc<Schema>> {
    [Profile::Covey, Profile::Reference].into_iter().flat_map(|profile| {
        let schemas =
            [Schema::new(profile, 64, parameters()), Schema::with_dct(profile, 64, parameters())];
        schemas.map(|schema| Arc::new(schema.unwrap()))
    })
}

fn gradients(schema: &Schema, seed: u64) -> Vec<Vec<f32>> {
    let tensors = (10 * seed..).zip(schema.tensors());
    tensors.map(|(seed, spec)| heavy_tailed(seed, spec.grid().len(), 64)).collect()
}

/// Selects on the CPU and counts elements.
#[derive(Debug, Default)]
struct Counting {
    elements: AtomicUsize,
}

impl TopK for Counting {
    fn select(
        &self,
        spec: &TensorSpec,
        slabs: Range<usize>,
        decay: f32,
        error: &mut [f32],
        gradient: &[f32],
        entries: &mut [CodedValue],
    ) {
        assert_eq!((error.len(), gradient.len()), (spec.elements_of(&slabs).len(), error.len()));
        assert_eq!(entries.len(), spec.entries_of(&slabs).len());
        self.elements.fetch_add(error.len(), Ordering::Relaxed);
        CpuTopK.select(spec, slabs, decay, error, gradient, entries);
    }
}

fn shares<'a>(schema: &Schema, plan: &Plan, selects: &'a [Counting]) -> Vec<Vec<Share<'a>>> {
    let share = |spec: &TensorSpec| {
        let parameter = parameters().position(|(name, _)| name == spec.name()).unwrap();
        let slabs = plan.slabs(parameter, spec.grid()).unwrap();
        slabs.into_iter().map(|(member, slabs)| Share { slabs, select: &selects[member] }).collect()
    };
    schema.tensors().iter().map(share).collect()
}

#[test]
fn a_delta_does_not_depend_on_the_number_of_members() {
    for schema in schemas() {
        let codec = Codec::new(Arc::clone(&schema));
        let mut single = Compressor::new(Arc::clone(&schema), 0.95);
        let mut divided =
            [1, 2, 3, 4, 8].map(|members| (members, Compressor::new(Arc::clone(&schema), 0.95)));
        for round in 0..3 {
            let gradients = gradients(&schema, round);
            let slices: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
            let expected = codec.encode(&single.compress(&slices).unwrap()).unwrap();
            for (members, compressor) in &mut divided {
                let plan = plan(*members);
                let selects: Vec<Counting> = (0..*members).map(|_| Counting::default()).collect();
                let delta =
                    compressor.compress_on(&slices, &shares(&schema, &plan, &selects)).unwrap();
                assert_eq!(
                    codec.encode(&delta).unwrap(),
                    expected,
                    "{members} members in round {round}"
                );
                for (member, select) in selects.iter().enumerate() {
                    assert_eq!(select.elements.load(Ordering::Relaxed), plan.owned(member));
                }
            }
        }
        for (members, compressor) in divided {
            assert_eq!(compressor.errors(), single.errors(), "{members} members");
        }
    }
}

#[test]
fn shares_that_do_not_cover_a_tensor_once_are_rejected() {
    let schema = schemas().next().unwrap();
    let gradients = gradients(&schema, 0);
    let slices: Vec<&[f32]> = gradients.iter().map(Vec::as_slice).collect();
    let mut compressor = Compressor::new(Arc::clone(&schema), 0.95);
    let selects: Vec<Counting> = (0..3).map(|_| Counting::default()).collect();
    let valid = shares(&schema, &plan(3), &selects);
    let table = schema.position("table").unwrap();
    let rejection = |compressor: &mut Compressor, wrong: &[(usize, usize)]| {
        let mut shares = valid.clone();
        shares[table] = wrong
            .iter()
            .map(|(start, end)| Share { slabs: *start..*end, select: &CpuTopK })
            .collect();
        compressor.compress_on(&slices, &shares).unwrap_err()
    };
    for wrong in
        [&[][..], &[(0, 7)], &[(0, 4), (5, 8)], &[(0, 4), (3, 8)], &[(0, 9)], &[(4, 8), (0, 4)]]
    {
        assert_eq!(
            rejection(&mut compressor, wrong),
            SparseLocoError::Shares { name: "table".into() }
        );
    }
    let few = compressor.compress_on(&slices, &valid[1..]).unwrap_err();
    assert!(matches!(few, SparseLocoError::TensorCount { .. }));
    assert!(compressor.errors().iter().flatten().all(|error| *error == 0.0));
}

#[test]
fn cuts_inside_a_chunk_are_detected() {
    let size = ParameterSize { elements: 128 * 64, alignment: 64 };
    let plan = Plan::new(3, vec![vec![size]]).unwrap();
    let schema = Schema::new(Profile::Covey, 64, [("a", &[128, 64][..])]).unwrap();
    let wrong = plan.slabs(0, schema.tensors()[0].grid()).unwrap_err();
    assert!(matches!(wrong, FsdpError::ChunkCut { parameter: 0, at: 2752 }), "{wrong}");
}
