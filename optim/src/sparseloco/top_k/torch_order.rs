//! The order in which the published compressor reads the values of a chunk.
//!
//! It calls `torch.topk` unsorted, which returns values as C++'s `std::nth_element` leaves them;
//! for chunks at least 64 times `k` long, as `std::partial_sort` sorts them. It then adds the
//! values up in `f32`. Sums over another order differ by about 1e-6. Only the reference profile
//! needs this order. This file repeats the steps of GNU's `nth_element`, pivot by pivot.

use crate::sparseloco::delta::CodedValue;

/// A value: its magnitude as ordered bits, and the value.
type Item = (u32, f32);

/// Writes the values of largest magnitude of a chunk, those of `entries`, in the published order.
pub(crate) fn published_order(chunk: &[f32], entries: &[CodedValue], values: &mut [f32]) {
    let Some(last) = values.len().checked_sub(1) else { return };
    // The condition under which `torch.topk` sorts partially on the CPU.
    let items: Vec<Item> = if values.len() * 64 <= chunk.len() {
        let mut items: Vec<Item> =
            entries.iter().map(|entry| item(chunk[entry.position()])).collect();
        items.sort_by_key(|item| std::cmp::Reverse(item.0));
        items
    } else {
        let mut items: Vec<Item> = chunk.iter().copied().map(item).collect();
        nth_element(&mut items, last);
        items
    };
    values.iter_mut().zip(items).for_each(|(value, item)| *value = item.1);
}

/// The item of a value.
fn item(value: f32) -> Item {
    (value.to_bits() & 0x7fff_ffff, value)
}

/// Moves the item of rank `nth` to its place, with larger items before it and smaller ones after
/// it.
fn nth_element(items: &mut [Item], nth: usize) {
    let (mut first, mut last) = (0, items.len());
    let mut depth = 2 * items.len().max(1).ilog2();
    while last - first > 3 {
        if depth == 0 {
            // GNU switches to a heap here. Its order is not repeated: with a median of three only
            // adversarial input reaches this depth.
            return items[first..last].sort_by_key(|item| std::cmp::Reverse(item.0));
        }
        depth -= 1;
        let cut = partition(items, first, last);
        if cut <= nth {
            first = cut;
        } else {
            last = cut;
        }
    }
    items[first..last].sort_by_key(|item| std::cmp::Reverse(item.0));
}

/// Partitions `first..last` around the median of three of its items, which is moved to `first`.
fn partition(items: &mut [Item], first: usize, last: usize) -> usize {
    let median = median(items, first + 1, first + (last - first) / 2, last - 1);
    items.swap(first, median);
    let pivot = items[first].0;
    let (mut low, mut high) = (first + 1, last);
    loop {
        // Neither loop runs past the ends: the median of three leaves an item that stops it, as in
        // the unguarded partition of GNU.
        while items[low].0 > pivot {
            low += 1;
        }
        high -= 1;
        while pivot > items[high].0 {
            high -= 1;
        }
        if low >= high {
            return low;
        }
        items.swap(low, high);
        low += 1;
    }
}

/// The place of the median of three items; of equals the one that GNU takes.
fn median(items: &[Item], a: usize, b: usize, c: usize) -> usize {
    let [first, second, third] = [items[a].0, items[b].0, items[c].0];
    match (first > second, second > third, first > third) {
        (true, true, _) | (false, false, false) => b,
        (true, false, true) | (false, true, false) => c,
        (true, false, false) | (false, _, true) => a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparseloco::top_k::cpu::Selector;

    #[test]
    fn the_largest_come_first() {
        let chunk: Vec<f32> = (0..500_u32).map(|i| (i * 7919 % 501) as f32 - 250.0).collect();
        for kept in [1, 2, 7, 8, 64, 499, 500] {
            let mut entries = vec![CodedValue::default(); kept];
            Selector::default().select(&chunk, &mut entries);
            let mut values = vec![0.0; kept];
            published_order(&chunk, &entries, &mut values);
            let sorted = |values: &[f32]| {
                let mut magnitudes: Vec<u32> =
                    values.iter().map(|value| value.abs() as u32).collect();
                magnitudes.sort_unstable_by(|a, b| b.cmp(a));
                magnitudes
            };
            assert_eq!(sorted(&values), sorted(&chunk)[..kept], "{kept}");
        }
    }
}
