//! The sketch of a delta: its positions in a few chunks that no peer can predict.

/// The positions of a delta in each drawn chunk, in ascending order.
///
/// All sketches of a round are drawn from one seed, so they contain the same chunks in the same
/// order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    chunks: Vec<Vec<u32>>,
}

impl Sketch {
    /// Largest number of chunks in a sketch.
    // With 64 positions per chunk, 65,536 positions: enough to distinguish an overlap of 40 % from
    // chance, at a small cost per pair.
    pub const CHUNKS: usize = 1024;

    /// Creates a sketch from the positions of each chunk.
    pub fn new(chunks: Vec<Vec<u32>>) -> Self {
        Self { chunks }
    }

    /// The positions of each chunk.
    pub fn chunks(&self) -> &[Vec<u32>] {
        &self.chunks
    }
}
