//! The windows a model is measured on.

use super::windows::Windows;
use crate::error::DataError;

/// Some windows of a held-out split, spread evenly over it and in its order.
#[derive(Debug, Clone)]
pub struct HeldOutWindows {
    windows: Windows,
    chosen: u64,
    next: u64,
}

impl HeldOutWindows {
    pub(crate) fn new(windows: Windows, most: u64) -> Self {
        let chosen = windows.count().min(most);
        Self { windows, chosen, next: 0 }
    }

    /// How many windows there are in all.
    pub fn count(&self) -> u64 {
        self.chosen
    }

    /// The window that the choice numbered `number` stands for.
    fn index(&self, number: u64) -> u64 {
        (u128::from(number) * u128::from(self.windows.count()) / u128::from(self.chosen)) as u64
    }
}

impl Iterator for HeldOutWindows {
    type Item = Result<Vec<u32>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.chosen {
            return None;
        }
        let index = self.index(self.next);
        self.next += 1;
        let mut tokens = Vec::with_capacity(self.windows.length() + 1);
        Some(self.windows.read(index, &mut tokens).map(|()| tokens))
    }
}
