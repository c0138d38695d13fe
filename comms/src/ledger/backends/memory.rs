//! A ledger in the memory of this process, for tests and simulations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::ledger::entry::{Entry, EntryPosition};
use crate::ledger::error::LedgerError;
use crate::ledger::ledger::{Ledger, NumberedEntry};
use crate::ledger::operation::Operation;
use crate::ledger::state::Genesis;
use crate::primitives::Keypair;

/// A ledger in memory. All clones share its entries.
#[derive(Clone, Debug)]
pub struct MemoryLedger {
    genesis: Genesis,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new(genesis: Genesis) -> Self {
        Self { genesis, entries: Arc::default() }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A poisoned lock still holds whole entries: each is pushed in one step.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    async fn read(&self, since: u64) -> Result<Vec<NumberedEntry>, LedgerError> {
        let entries = self.entries();
        // Always valid: `append` is the only writer, and it signs what it stores.
        let numbered = (0_u64..)
            .zip(entries.iter())
            .map(|(number, entry)| NumberedEntry { number, entry: Ok(entry.clone()) });
        Ok(numbered.skip_while(|entry| entry.number < since).collect())
    }

    async fn append(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError> {
        // Locked until the push, so two writers cannot take the same number.
        let mut entries = self.entries();
        let number = entries.len() as u64;
        let after = entries.last().map_or(*self.genesis.run.digest(), Entry::digest);
        let position = EntryPosition { run: self.genesis.run, number, after };
        entries.push(Entry::seal(author, position, operation, successor)?);
        Ok(number)
    }
}
