//! Random numbers from a seed, for jitter and simulated faults, never for secrets.

/// A deterministic stream of random numbers (SplitMix64; Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct SeededRng {
    state: u64,
}

impl SeededRng {
    /// The stream of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A separate stream for each name and index under one seed.
    #[cfg(feature = "testing")]
    pub(crate) fn named(seed: u64, name: &str, index: u64) -> Self {
        // Hashed, because SplitMix64 streams of related seeds can overlap.
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(&index.to_le_bytes()).update(name.as_bytes());
        let mut state = [0; 8];
        hasher.finalize_xof().fill(&mut state);
        Self::new(u64::from_le_bytes(state))
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number of at least zero and below one.
    pub(crate) fn fraction(&mut self) -> f64 {
        // 53 bits, the precision of an `f64`.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next number of an approximately normal distribution with mean 0 and deviation 1.
    #[cfg(feature = "testing")]
    pub(crate) fn normal(&mut self) -> f64 {
        // A sum of 12 uniform numbers has mean 6 and variance 1. Unlike Box-Muller it needs no
        // logarithm or cosine, which differ between machines.
        (0..12).map(|_| self.fraction()).sum::<f64>() - 6.0
    }
}
