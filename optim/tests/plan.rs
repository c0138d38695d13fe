//! Laws of the division of a network among members.

use covey_optim::fsdp::{FsdpError, ParameterSize, Plan, slab_alignment};
use proptest::prelude::*;

fn size(shape: &[usize]) -> ParameterSize {
    ParameterSize { elements: shape.iter().product(), alignment: slab_alignment(shape) }
}

/// A Llama with tied or separate head: hidden, intermediate, key and value rows, layers,
/// vocabulary.
fn decoder(
    tied: bool,
    [hidden, intermediate, keys, layers, vocabulary]: [usize; 5],
) -> Vec<Vec<ParameterSize>> {
    let square = [hidden, hidden];
    let (key, up, down) = ([keys, hidden], [intermediate, hidden], [hidden, intermediate]);
    let block: [&[usize]; 9] =
        [&[hidden], &square, &key, &key, &square, &[hidden], &up, &up, &down];
    let block: Vec<ParameterSize> = block.into_iter().map(size).collect();
    let table = size(&[vocabulary, hidden]);
    let last = if tied { vec![size(&[hidden])] } else { vec![size(&[hidden]), table] };
    [vec![table]].into_iter().chain(vec![block; layers]).chain([last]).collect()
}

/// The largest relative deviation of the share of a member from an even share.
fn unevenness(plan: &Plan) -> f64 {
    let total: usize = (0..plan.members()).map(|member| plan.owned(member)).sum();
    let even = total as f64 / plan.members() as f64;
    (0..plan.members())
        .map(|member| (plan.owned(member) as f64 / even - 1.0).abs())
        .fold(0.0, f64::max)
}

#[test]
fn shares_of_decoders_are_even() {
    for (tied, sizes, limit) in [
        // A member of eight owns 20 runs of 64 rows, so half a run is the best possible deviation.
        (true, [128, 352, 64, 4, 4096], 0.025),
        (false, [1024, 2688, 1024, 12, 32_000], 0.005),
        (false, [2048, 8192, 1024, 16, 32_000], 0.005),
        (false, [8192, 28_672, 1024, 80, 262_144], 0.001),
    ] {
        for members in [1, 2, 3, 4, 8] {
            let uneven = unevenness(&Plan::new(members, decoder(tied, sizes)).unwrap());
            assert!(uneven <= limit, "{uneven} among {members} of {sizes:?}");
        }
    }
}

fn check_laws(plan: &Plan, units: &[Vec<ParameterSize>]) {
    assert_eq!(plan.num_units(), units.len());
    let mut owned = vec![0; plan.members()];
    for (unit, sizes) in units.iter().enumerate() {
        assert_eq!(plan.parameters(unit).len(), sizes.len());
        let mut start = 0;
        for (parameter, size) in plan.parameters(unit).zip(sizes) {
            assert_eq!((plan.unit_of(parameter), plan.elements(parameter)), (unit, size.elements));
            let mut end = 0;
            for piece in plan.pieces(parameter) {
                assert!(piece.range.start == end && !piece.range.is_empty());
                end = piece.range.end;
                assert!(end == size.elements || end.is_multiple_of(size.alignment));
                let share = plan.share(unit, piece.member);
                assert!(share.start <= start + piece.range.start && start + end <= share.end);
                owned[piece.member] += piece.range.len();
            }
            assert!(plan.pieces(parameter).is_sorted_by(|a, b| a.member < b.member));
            assert_eq!(end, size.elements);
            start += size.elements;
        }
        assert_eq!(plan.unit_elements(unit), start);
        assert!(
            (0..plan.members()).all(|member| plan.share(unit, member).len() <= plan.padded(unit))
        );
    }
    assert_eq!(owned, (0..plan.members()).map(|member| plan.owned(member)).collect::<Vec<_>>());
}

prop_compose! {
    fn parameter()(
        runs in 1..40_usize,
        alignment in 1..500_usize,
        missing in 0.0..1.0_f64,
    ) -> ParameterSize {
        let elements = runs * alignment - (missing * alignment as f64) as usize;
        ParameterSize { elements, alignment }
    }
}

proptest! {
    #[test]
    fn each_element_has_one_owner_and_shares_are_even(
        units in proptest::collection::vec(proptest::collection::vec(parameter(), 1..6), 1..12),
        members in 1..10_usize,
    ) {
        let sizes = || units.iter().flatten();
        let possible: usize =
            sizes().map(|size| size.elements.div_ceil(size.alignment)).sum();
        let Ok(plan) = Plan::new(members, units.clone()) else {
            prop_assert!(members > possible);
            return Ok(());
        };
        check_laws(&plan, &units);
        let total: usize = sizes().map(|size| size.elements).sum();
        let alignment = sizes().map(|size| size.alignment.min(size.elements)).max().unwrap();
        for member in 0..members {
            let owned = plan.owned(member);
            let far = (owned as f64 - total as f64 / members as f64).abs();
            prop_assert!(far <= alignment as f64 + 1.0, "{owned} of {total} among {members}");
        }
    }
}

#[test]
fn impossible_divisions_are_rejected() {
    let units = || vec![vec![size(&[128, 8])], vec![size(&[8])]];
    assert_eq!(Plan::new(0, units()), Err(FsdpError::Members { members: 0, possible: 3 }));
    let many = Plan::new(4, units()).unwrap_err();
    assert_eq!(many.to_string(), "cannot divide the network among 4 devices, only among 1 to 3");
    assert_eq!(many.hint().unwrap(), "use at most 3 devices");
    let empty = ParameterSize { elements: 0, alignment: 1 };
    assert_eq!(
        Plan::new(1, vec![vec![empty]]),
        Err(FsdpError::Empty { parameter: 0, elements: 0, alignment: 1 })
    );
    assert_eq!(Plan::new(1, vec![vec![]]), Err(FsdpError::EmptyUnit { unit: 0 }));
}

#[test]
fn the_first_unit_with_the_most_elements_is_the_largest() {
    let plan = Plan::new(3, decoder(true, [128, 352, 64, 4, 4096])).unwrap();
    assert_eq!((plan.largest_unit(), plan.unit_elements(0)), (0, 4096 * 128));
}
