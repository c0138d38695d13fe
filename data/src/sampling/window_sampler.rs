//! The endless sequence of training windows.

use super::cursor::Cursor;
use super::mixture::Mixture;
use super::permutation::Permutation;
use crate::dataset::Windows;
use crate::error::DataError;

/// Windows to draw from, and their weight in the mixture.
#[derive(Debug, Clone)]
pub struct WindowSource {
    /// The windows; all sources of a sampler have windows of the same length.
    pub windows: Windows,
    /// The share of the samples, relative to the other sources.
    pub weight: f64,
}

/// Draws windows from several sources, each in a new seeded order in every epoch.
///
/// - Sample number i is a pure function of the sources, their weights, the seed and i.
/// - Within an epoch every window of a source occurs once.
#[derive(Debug, Clone)]
pub struct WindowSampler {
    sources: Vec<WindowSource>,
    mixture: Mixture,
    /// The order of each source in its current epoch.
    orders: Vec<Permutation>,
    cursor: Cursor,
}

impl WindowSampler {
    /// Starts at the first sample.
    pub fn new(sources: Vec<WindowSource>, seed: u64) -> Result<Self, DataError> {
        Self::at(sources, seed, 0)
    }

    /// Starts at any sample; the state is computed, and the samples before it are not drawn.
    pub fn at(sources: Vec<WindowSource>, seed: u64, sample: u64) -> Result<Self, DataError> {
        let mixture = mixture(&sources, seed)?;
        let length = sources.first().map_or(0, |source| source.windows.length());
        let windows = sources.iter().map(|source| &source.windows);
        let cursor = Cursor::at(windows, length, &mixture, seed, sample);
        Self::resume(sources, cursor)
    }

    /// Continues at a cursor; fails if it was made for other data or another length.
    pub fn resume(sources: Vec<WindowSource>, cursor: Cursor) -> Result<Self, DataError> {
        cursor.check(sources.iter().map(|source| &source.windows))?;
        let mixture = mixture(&sources, cursor.seed)?;
        let orders = (0..sources.len()).map(|source| order(&cursor, source)).collect();
        Ok(Self { sources, mixture, orders, cursor })
    }

    /// The state after everything drawn so far.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Tokens in a window, without the one that follows it.
    pub fn length(&self) -> usize {
        self.cursor.length
    }

    /// Appends the tokens of the next window.
    pub fn draw(&mut self, tokens: &mut Vec<u32>) -> Result<(), DataError> {
        let source = self.mixture.source_of(self.cursor.samples);
        let position = self.cursor.sources[source].position;
        let index = self.orders[source].at(position).expect("the position is inside the epoch");
        // Only a successful read advances, so a failed draw can be repeated.
        self.sources[source].windows.read(index, tokens)?;
        self.advance(source);
        Ok(())
    }

    fn advance(&mut self, source: usize) {
        self.cursor.samples += 1;
        let state = &mut self.cursor.sources[source];
        state.position += 1;
        if state.position == state.windows {
            state.position = 0;
            state.epoch += 1;
            // Costs one hash, not one step per window.
            self.orders[source] = order(&self.cursor, source);
        }
    }
}

fn mixture(sources: &[WindowSource], seed: u64) -> Result<Mixture, DataError> {
    let weights: Vec<f64> = sources.iter().map(|source| source.weight).collect();
    Mixture::new(&weights, seed)
}

/// The key contains the index of the source; two sources of equal length get different orders.
fn order(cursor: &Cursor, source: usize) -> Permutation {
    let state = &cursor.sources[source];
    Permutation::keyed(state.windows, &[cursor.seed, state.epoch, source as u64])
}
