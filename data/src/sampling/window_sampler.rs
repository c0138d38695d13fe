//! The endless sequence of training windows.

use super::cursor::Cursor;
use super::mixture::Mixture;
use super::permutation::Permutation;
use crate::dataset::Windows;
use crate::error::DataError;

/// Windows to draw from, and how often.
#[derive(Debug, Clone)]
pub struct WindowSource {
    /// Its windows; all sources of a sampler have the same length.
    pub windows: Windows,
    /// Its share of the samples relative to the other sources.
    pub weight: f64,
}

/// Draws windows from several sources, each in a new seeded order every epoch.
///
/// - Sample number i is a pure function of the sources, their weights, the seed and i.
/// - Within an epoch every window of a source comes once.
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

    /// Starts at any sample, as if all before it had been drawn.
    pub fn at(sources: Vec<WindowSource>, seed: u64, sample: u64) -> Result<Self, DataError> {
        let mixture = mixture(&sources, seed)?;
        let length = sources.first().map_or(0, |source| source.windows.length());
        let windows = sources.iter().map(|source| &source.windows);
        let cursor = Cursor::at(windows, length, &mixture, seed, sample);
        Self::resume(sources, cursor)
    }

    /// Continues where a cursor stands; refuses a cursor made for other data or another length.
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

    /// Tokens per window, without the one that follows it.
    pub fn length(&self) -> usize {
        self.cursor.length
    }

    /// Appends the tokens of the next window.
    pub fn draw(&mut self, tokens: &mut Vec<u32>) -> Result<(), DataError> {
        let source = self.mixture.source_of(self.cursor.samples);
        let position = self.cursor.sources[source].position;
        let index = self.orders[source].at(position).expect("a cursor stands inside its epoch");
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
            self.orders[source] = order(&self.cursor, source);
        }
    }
}

fn mixture(sources: &[WindowSource], seed: u64) -> Result<Mixture, DataError> {
    let weights: Vec<f64> = sources.iter().map(|source| source.weight).collect();
    Mixture::new(&weights, seed)
}

/// Sources have orders of their own, so that two of equal length do not run in step.
fn order(cursor: &Cursor, source: usize) -> Permutation {
    let state = &cursor.sources[source];
    Permutation::keyed(state.windows, &[cursor.seed, state.epoch, source as u64])
}
