//! What every keeper of a ledger promises.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::entry::Entry;
use super::error::LedgerError;
use super::operation::Operation;
use super::rejection::Rejection;
use crate::ledger::state::Genesis;
use crate::primitives::Keypair;

/// What stands under one number: an entry whose signatures and place hold, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedEntry {
    /// Its number in the ledger's order.
    pub number: u64,
    /// The entry.
    pub entry: Result<Entry, Rejection>,
}

/// A list of entries that anyone may add to and nobody may change.
///
/// - Numbers begin with zero and leave none out; all readers see the same lines under the same numbers.
/// - What was read stays: a longer ledger begins with all of a shorter one.
/// - An entry that was added is found by whoever reads afterwards.
/// - What does not verify is a line, too, so that nobody can stop a ledger by writing nonsense into it.
#[async_trait]
pub trait Ledger: Debug + Send + Sync {
    /// What the ledger began with.
    fn genesis(&self) -> &Genesis;

    /// The lines from number `since` on.
    ///
    /// # Errors
    /// What the keeper says; nothing that a stranger writes is an error.
    async fn read(&self, since: u64) -> Result<Vec<NumberedEntry>, LedgerError>;

    /// Signs a statement in the author's name, and in that of `successor` if it is a rotation, and adds it; gives its
    /// number.
    ///
    /// Whether it takes effect is not asked: [`Registry`](super::client::Registry) does that.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] for what could not be signed, [`LedgerError::Crowded`], or what the keeper says.
    async fn append(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError>;

    /// The first number that is missing, and one beyond it that is there, if somebody took entries out.
    ///
    /// # Errors
    /// What the keeper says.
    async fn gap(&self) -> Result<Option<(u64, u64)>, LedgerError> {
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
