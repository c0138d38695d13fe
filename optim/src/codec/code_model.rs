//! The probabilities of the four 2-bit codes of a tensor.

use super::rans;
use super::rans::SymbolRange;
use crate::sparseloco::Profile;

/// Binary places of the probability of a code.
pub(crate) const CODE_SCALE: u32 = 9;

/// Probabilities of the codes of a tensor, in 1/512.
///
/// The profiles transmit different parameters. `covey` sends the share of the larger magnitude in
/// one byte (1 to 255, in 1/256) and takes both signs as equally likely. `reference` sends the
/// shares of the first three codes in three bytes, in 1/256; the fourth share is the rest and must
/// not be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeModel {
    starts: [u32; 5],
}

impl CodeModel {
    /// The number of bytes of a model.
    pub(crate) fn num_bytes(profile: Profile) -> usize {
        match profile {
            Profile::Reference => 3,
            Profile::Covey => 1,
        }
    }

    /// The model that the encoder chooses for these counts of the four codes.
    pub(crate) fn choose(profile: Profile, counts: [u64; 4]) -> Self {
        match profile {
            Profile::Reference => {
                let shares = rans::frequencies(&counts, 256);
                Self::from_shares([shares[0], shares[1], shares[2]])
            }
            Profile::Covey => {
                let total = counts.iter().sum::<u64>().max(1);
                // The nearest share in 1/256. The clamp leaves a slot to each level, because
                // entries of either level must remain encodable.
                let share = (256 * (counts[1] + counts[3]) + total / 2) / total;
                Self::from_large_share(share.clamp(1, 255) as u32)
            }
        }
    }

    /// Reads a model; returns `None` if a code has no slots.
    pub(crate) fn read(profile: Profile, bytes: &[u8]) -> Option<Self> {
        match (profile, bytes) {
            (Profile::Covey, [share]) if *share > 0 => {
                Some(Self::from_large_share(u32::from(*share)))
            }
            (Profile::Reference, [first, second, third]) => {
                let shares = [*first, *second, *third].map(u32::from);
                let is_valid =
                    shares.iter().all(|share| *share > 0) && shares.iter().sum::<u32>() < 256;
                is_valid.then(|| Self::from_shares(shares))
            }
            _ => None,
        }
    }

    /// Appends the bytes that [`CodeModel::read`] reads.
    pub(crate) fn write(&self, profile: Profile, bytes: &mut Vec<u8>) {
        match profile {
            Profile::Covey => bytes.push((self.starts[2] - self.starts[1]) as u8),
            Profile::Reference => bytes.extend((0..3).map(|code| (self.range(code).1 / 2) as u8)),
        }
    }

    fn from_large_share(share: u32) -> Self {
        // Codes are in the order small, large, minus small, minus large: each sign gets half of the
        // 512 slots.
        Self { starts: [0, 256 - share, 256, 512 - share, 512] }
    }

    fn from_shares([first, second, third]: [u32; 3]) -> Self {
        Self { starts: [0, 2 * first, 2 * (first + second), 2 * (first + second + third), 512] }
    }

    /// Start and frequency of a code.
    #[inline(always)]
    pub(crate) fn range(&self, code: usize) -> (u32, u32) {
        (self.starts[code & 3], self.starts[(code & 3) + 1] - self.starts[code & 3])
    }

    /// The range of every code, for encoding.
    pub(crate) fn ranges(&self) -> [SymbolRange; 4] {
        [0, 1, 2, 3].map(|code| {
            let (start, frequency) = self.range(code);
            SymbolRange::new(start, frequency)
        })
    }

    /// The decoding table. For each slot: place inside the range of the code (9 bits), frequency
    /// less 1 (9 bits), code (2 bits).
    pub(crate) fn slots(&self) -> [u32; 1 << CODE_SCALE] {
        // One load per code replaces a search; 2 KiB stay in the first-level cache.
        let mut slots = [0; 1 << CODE_SCALE];
        let mut rest = slots.as_mut_slice();
        for code in 0..4 {
            let frequency = self.range(code).1;
            let (own, others) = std::mem::take(&mut rest).split_at_mut(frequency as usize);
            let kind = (frequency - 1) << 9 | (code as u32) << 18;
            own.iter_mut().zip(0..).for_each(|(slot, place): (&mut u32, u32)| *slot = place | kind);
            rest = others;
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_as_written() {
        for profile in [Profile::Reference, Profile::Covey] {
            for counts in
                [[0, 0, 0, 0], [1, 0, 0, 0], [10, 20, 30, 40], [0, 1 << 40, 0, 0], [5, 0, 0, 5]]
            {
                let model = CodeModel::choose(profile, counts);
                let mut bytes = Vec::new();
                model.write(profile, &mut bytes);
                assert_eq!(bytes.len(), CodeModel::num_bytes(profile));
                assert_eq!(CodeModel::read(profile, &bytes), Some(model), "{counts:?}");
            }
        }
    }

    #[test]
    fn every_slot_decodes_to_its_code() {
        let model = CodeModel::choose(Profile::Reference, [3, 100, 7, 60]);
        for (slot, entry) in (0..).zip(model.slots()) {
            let (start, frequency) = model.range((entry >> 18) as usize);
            assert_eq!((start + (entry & 0x1ff), (entry >> 9 & 0x1ff) + 1), (slot, frequency));
        }
    }

    #[test]
    fn impossible_shares_are_rejected() {
        for bytes in [[0, 1, 1], [100, 100, 56], [255, 255, 255]] {
            assert_eq!(CodeModel::read(Profile::Reference, &bytes), None);
        }
        assert_eq!(CodeModel::read(Profile::Covey, &[0]), None);
    }
}
