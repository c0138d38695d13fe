//! What a delta looks like from afar: which places it moves, in a few chunks that nobody could foresee.

/// The places that a delta moves, chunk by chunk: ascending positions within each of the chunks that were drawn.
///
/// Sketches of one round are drawn from one seed, so they hold the same chunks in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    chunks: Vec<Vec<u32>>,
}

impl Sketch {
    /// Chunks that are compared at most.
    pub const CHUNKS: usize = 1024;

    /// A sketch of these chunks.
    pub fn new(chunks: Vec<Vec<u32>>) -> Self {
        Self { chunks }
    }

    /// The positions of each chunk.
    pub fn chunks(&self) -> &[Vec<u32>] {
        &self.chunks
    }
}
