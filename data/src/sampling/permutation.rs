//! A seeded order of any length without a list of it in memory.
//!
//! A balanced Feistel network permutes the numbers below a power of four; numbers that land outside the wanted range
//! are sent through again until they land inside (cycle walking), which keeps the map a permutation. Less than four
//! passes are needed on average.

/// Rounds of the network. Four make a secure cipher of a secure round function; ours is a mixer, so take twice that.
const ROUNDS: usize = 8;

/// Bits a half has at least: tiny networks reach only few of the possible orders.
const LEAST_HALF_BITS: u32 = 3;

/// Domain of the keys, so that no other use of the same seed sees the same numbers.
const KEY_DOMAIN: &str = "covey 2026-11-22 permutation of window indices";

/// A permutation of the numbers below `length`, a pure function of its length and its key.
///
/// The order is the same on every machine and stays so in all later versions: others compute from it who trains on
/// what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permutation {
    length: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The order of epoch `epoch` of a run with this seed.
    pub fn new(length: u64, seed: u64, epoch: u64) -> Self {
        Self::keyed(length, &[seed, epoch])
    }

    /// The order that belongs to a list of numbers, such as a seed, a round and a peer.
    ///
    /// Lists of different length are different keys.
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

    /// How many numbers are permuted.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The number at a place in the order, or nothing past its end.
    pub fn at(&self, place: u64) -> Option<u64> {
        if place >= self.length {
            return None;
        }
        let mut number = self.pass(place);
        while number >= self.length {
            number = self.pass(number);
        }
        Some(number)
    }

    fn pass(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        (left << self.half_bits) | right
    }
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
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
        fn is_a_bijection(length in 0u64..3000, seed: u64, epoch: u64) {
            let order = Permutation::new(length, seed, epoch);
            let mut numbers: Vec<_> = (0..length).map(|place| order.at(place).unwrap()).collect();
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (0..length).collect::<Vec<_>>());
            prop_assert_eq!(order.at(length), None);
        }

        #[test]
        fn stays_inside_huge_ranges(length in 1u64.., place: u64) {
            let order = Permutation::new(length, 1, 2);
            prop_assert!(order.at(place % length).unwrap() < length);
        }
    }

    #[test]
    fn order_never_changes() {
        let numbers = |length, seed, epoch| -> Vec<_> {
            (0..8).map(|place| Permutation::new(length, seed, epoch).at(place).unwrap()).collect()
        };
        let golden = [numbers(10, 0, 0), numbers(1_000_000, 42, 3), numbers(1 << 40, 42, 3)];
        assert_eq!(golden[0], [1, 9, 3, 8, 2, 7, 5, 6]);
        assert_eq!(golden[1], [676928, 318442, 217576, 209905, 398369, 845568, 4513, 539632]);
        let far = [891871556815, 502137890278, 284309326975, 322299569316];
        assert_eq!(golden[2][..4], far);
    }

    #[test]
    fn every_place_gets_every_number_equally_often() {
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
    fn epochs_differ() {
        let place_of_zero =
            |epoch| (0..100).find(|&place| Permutation::new(100, 7, epoch).at(place) == Some(0));
        assert_ne!(place_of_zero(0), place_of_zero(1));
    }
}
