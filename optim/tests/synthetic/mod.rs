//! Synthetic pseudo-gradients: heavy tails, and rows of different magnitude.

/// A small generator (splitmix64), so tests draw the same numbers on every machine.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number between 0 and 1, both excluded.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
}

/// `len` numbers in rows of `columns`: Laplace noise times a heavy-tailed factor per row.
pub(crate) fn heavy_tailed(seed: u64, len: usize, columns: usize) -> Vec<f32> {
    let mut noise = Noise::new(seed);
    let mut row = 1.0;
    let mut next = |index: usize| {
        if index.is_multiple_of(columns) {
            row = noise.uniform().powf(-0.3);
        }
        let sign = if noise.next() & 1 == 0 { 1e-4 } else { -1e-4 };
        (sign * row * -noise.uniform().ln()) as f32
    };
    (0..len).map(&mut next).collect()
}
