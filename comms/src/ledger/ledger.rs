//! The contract of every ledger backend.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::entry::Entry;
use super::error::LedgerError;
use super::operation::Operation;
use super::rejection::Verified;
use crate::ledger::state::Genesis;
use crate::primitives::Keypair;

/// An entry with its number in the ledger, or the reason why the number holds no valid entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedEntry {
    /// The number in the order of the ledger.
    pub number: u64,
    /// The entry, with its signatures and position checked.
    pub entry: Verified<Entry>,
}

/// An append-only list of entries that anyone may extend.
///
/// - Numbers start at zero and leave no gaps. All readers see the same entries under the same
///   numbers.
/// - A longer ledger starts with all entries of a shorter one.
/// - An appended entry is visible to every later read.
/// - An invalid entry also has a number. Otherwise one garbage object would stop the ledger.
///
/// `check_ledger_conformance` tests these laws.
#[async_trait]
pub trait Ledger: Debug + Send + Sync {
    /// The run and its first validator set.
    fn genesis(&self) -> &Genesis;

    /// Returns all entries from number `since` on.
    ///
    /// # Errors
    /// Failures of the backend. Invalid content is part of the result, not an error.
    async fn read(&self, since: u64) -> Result<Vec<NumberedEntry>, LedgerError>;

    /// Signs an operation for `author`, and a rotation for `successor` as well, and appends it.
    /// Returns its number.
    ///
    /// Appends operations without effect too; [`LedgerClient`](super::LedgerClient) checks
    /// the effect first.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] for an operation that cannot be signed, [`LedgerError::Contended`],
    /// or a failure of the backend.
    async fn append(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError>;

    /// Returns the first missing number and the next existing one, if entries were removed.
    ///
    /// # Errors
    /// Failures of the backend.
    async fn gap(&self) -> Result<Option<(u64, u64)>, LedgerError> {
        // Memory and contracts number entries themselves and cannot lose one in between.
        Ok(None)
    }
}

#[async_trait]
impl<L: Ledger + ?Sized> Ledger for Arc<L> {
    fn genesis(&self) -> &Genesis {
        self.as_ref().genesis()
    }

    async fn read(&self, since: u64) -> Result<Vec<NumberedEntry>, LedgerError> {
        self.as_ref().read(since).await
    }

    async fn append(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError> {
        self.as_ref().append(author, operation, successor).await
    }

    async fn gap(&self) -> Result<Option<(u64, u64)>, LedgerError> {
        self.as_ref().gap().await
    }
}
