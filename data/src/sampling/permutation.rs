//! A seeded permutation of any length that is computed instead of stored.
//!
//! A balanced Feistel network permutes the numbers below a power of four. A number outside the
//! range passes through the network again until it is inside (cycle walking), which keeps the map
//! a permutation. The power of four is less than four times the length, except for lengths below
//! 17, so a number takes fewer than four passes on average.

/// Rounds of the network. Four rounds turn a secure round function into a secure cipher (Luby and
/// Rackoff 1988). The round function here is only a mixer, so there are twice as many.
const ROUNDS: usize = 8;

/// Least number of bits in each half. Smaller networks reach only a few of the possible orders.
const LEAST_HALF_BITS: u32 = 3;

/// Domain of the keys; it separates them from every other use of the same seed.
const KEY_DOMAIN: &str = "covey 2026-11-22 permutation of window indices";

/// A permutation of the numbers below `length`, a pure function of its length and its key.
///
/// The order is the same on every machine and must never change in later versions: validators
/// compute from it which windows each peer trains on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permutation {
    length: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The order in one epoch of a run with this seed.
    pub fn new(length: u64, seed: u64, epoch: u64) -> Self {
        Self::keyed(length, &[seed, epoch])
    }

    /// The order for a key of several numbers, such as a seed, a round and a peer.
    ///
    /// Keys of different length give different orders.
    pub fn keyed(length: u64, key: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(KEY_DOMAIN);
        for number in key {
            hasher.update(&number.to_le_bytes());
        }
        let mut output = hasher.finalize_xof();
        let keys = std::array::from_fn(|_| {
            let mut bytes = [0; 8];
            output.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        });
        let bits = u64::BITS - length.saturating_sub(1).leading_zeros();
        Self { length, half_bits: bits.div_ceil(2).max(LEAST_HALF_BITS), keys }
    }

    /// Length of the permutation.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The number at a place in the order, or `None` past its end.
    pub fn at(&self, place: u64) -> Option<u64> {
        if place >= self.length {
            return None;
        }
        let mut number = self.pass(place);
        // Ends, because the network is a bijection: the cycle of `place` returns to `place`, which
        // is below the length.
        while number >= self.length {
            number = self.pass(number);
        }
        Some(number)
    }

    /// One pass through the network.
    fn pass(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        (left << self.half_bits) | right
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014); each input bit affects all output
/// bits.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_occurs_once(length in 0u64..3000, seed: u64, epoch: u64) {
            let order = Permutation::new(length, seed, epoch);
            let mut numbers: Vec<_> = (0..length).map(|place| order.at(place).unwrap()).collect();
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (0..length).collect::<Vec<_>>());
            prop_assert_eq!(order.at(length), None);
        }

        #[test]
        fn numbers_stay_inside_huge_ranges(length in 1u64.., place: u64) {
            let order = Permutation::new(length, 1, 2);
            prop_assert!(order.at(place % length).unwrap() < length);
        }
    }

    #[test]
    fn the_order_never_changes() {
        let numbers = |length, seed, epoch| -> Vec<_> {
            (0..8).map(|place| Permutation::new(length, seed, epoch).at(place).unwrap()).collect()
        };
        assert_eq!(numbers(10, 0, 0), [1, 9, 3, 8, 2, 7, 5, 6]);
        let million = [676928, 318442, 217576, 209905, 398369, 845568, 4513, 539632];
        assert_eq!(numbers(1_000_000, 42, 3), million);
        let trillion = [891871556815, 502137890278, 284309326975, 322299569316];
        assert_eq!(numbers(1 << 40, 42, 3)[..4], trillion);
    }

    #[test]
    fn every_place_gets_each_number_equally_often() {
        let mut counts = [[0; 10]; 10];
        for seed in 0..10_000 {
            let order = Permutation::new(10, seed, 0);
            (0..10)
                .for_each(|place| counts[place as usize][order.at(place).unwrap() as usize] += 1);
        }
        // 1,000 expected with a standard deviation of 30.
        assert!(counts.iter().flatten().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn epochs_have_different_orders() {
        let place_of_zero =
            |epoch| (0..100).find(|&place| Permutation::new(100, 7, epoch).at(place) == Some(0));
        assert_ne!(place_of_zero(0), place_of_zero(1));
    }
}
