//! A ledger with its current state, for peers and validators.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::LedgerError;
use super::ledger::Ledger;
use super::operation::{CheckpointDigest, Operation, Scores};
use super::rejection::Rejection;
use crate::ledger::state::{LedgerState, ValidatorSetChange};
use crate::primitives::{Digest, Keypair, PeerId};

/// A reader and writer of a ledger.
///
/// It refuses an operation without effect before it writes it. Another entry can still come first;
/// the client reports that as [`LedgerError::Overtaken`].
#[derive(Debug)]
pub struct LedgerClient {
    ledger: Arc<dyn Ledger>,
    state: LedgerState,
}

impl LedgerClient {
    /// A client that has read no entries.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        let state = LedgerState::genesis(ledger.genesis());
        Self { ledger, state }
    }

    /// The state as of the last [`refresh`](Self::refresh).
    pub fn state(&self) -> &LedgerState {
        &self.state
    }

    /// Reads and applies all new entries; returns their number. Costs one request if there are
    /// none.
    ///
    /// # Errors
    /// Failures of the backend.
    pub async fn refresh(&mut self) -> Result<usize, LedgerError> {
        self.refresh_watching(None).await.map(|(count, _)| count)
    }

    /// Refreshes, and returns the reason why entry `watched` has no effect, if it has none.
    async fn refresh_watching(
        &mut self,
        watched: Option<u64>,
    ) -> Result<(usize, Option<Rejection>), LedgerError> {
        let entries = self.ledger.read(self.state.next()).await?;
        let mut rejection = None;
        for entry in &entries {
            let outcome = self.state.apply(entry);
            if Some(entry.number) == watched {
                rejection = outcome.err();
            }
        }
        Ok((entries.len(), rejection))
    }

    /// Appends an operation of `author`; returns the number of its entry.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] if it would have no effect, [`LedgerError::Overtaken`] if another
    /// entry came first, or a failure of the backend.
    pub async fn submit(
        &mut self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError> {
        self.refresh().await?;
        // Before writing: an entry without effect would stay in the ledger for good.
        self.state.permits(author.peer(), &operation)?;
        let number = self.ledger.append(author, operation, successor).await?;
        // Checked again: entries of other writers may stand between the refresh and this entry.
        match self.refresh_watching(Some(number)).await? {
            (_, None) => Ok(number),
            (_, Some(rejection)) => Err(LedgerError::Overtaken { number, rejection }),
        }
    }

    /// Registers a peer with deltas in `bucket`, or in the run's bucket.
    ///
    /// # Errors
    /// As for [`LedgerClient::submit`].
    pub async fn register(
        &mut self,
        peer: &Keypair,
        bucket: Option<String>,
    ) -> Result<u64, LedgerError> {
        self.submit(peer, Operation::Register { bucket }, None).await
    }

    /// Changes the bucket of a registered peer.
    ///
    /// # Errors
    /// As for [`LedgerClient::submit`].
    pub async fn announce(
        &mut self,
        peer: &Keypair,
        bucket: Option<String>,
    ) -> Result<u64, LedgerError> {
        self.submit(peer, Operation::Announce { bucket }, None).await
    }

    /// Replaces the key of a registered peer.
    ///
    /// # Errors
    /// As for [`LedgerClient::submit`].
    pub async fn rotate(&mut self, old: &Keypair, new: &Keypair) -> Result<u64, LedgerError> {
        self.submit(old, Operation::Rotate { to: new.peer() }, Some(new)).await
    }

    /// Ends the registration of a peer.
    ///
    /// # Errors
    /// As for [`LedgerClient::submit`].
    pub async fn leave(&mut self, peer: &Keypair) -> Result<u64, LedgerError> {
        self.submit(peer, Operation::Leave {}, None).await
    }

    /// Posts the digest of a verdict.
    ///
    /// # Errors
    /// As for [`LedgerClient::submit`].
    pub async fn post_scores(
        &mut self,
        validator: &Keypair,
        scores: Scores,
    ) -> Result<u64, LedgerError> {
        self.submit(validator, Operation::Scores(scores), None).await
    }

    /// Posts the digest of the weights at the start of a round.
    ///
    /// # Errors
    /// As for [`LedgerClient::submit`].
    pub async fn post_checkpoint(
        &mut self,
        validator: &Keypair,
        checkpoint: CheckpointDigest,
    ) -> Result<u64, LedgerError> {
        self.submit(validator, Operation::Checkpoint(checkpoint), None).await
    }

    /// Votes for the next validator set.
    ///
    /// # Errors
    /// As for [`LedgerClient::submit`].
    pub async fn vote(
        &mut self,
        validator: &Keypair,
        members: BTreeSet<PeerId>,
        threshold: u32,
        accounts: Option<Digest>,
    ) -> Result<u64, LedgerError> {
        // The vote names the next generation, so the current one must be up to date.
        self.refresh().await?;
        let generation = self.state.validator_set().generation.saturating_add(1);
        let validator_set = ValidatorSetChange { generation, members, threshold, accounts };
        self.submit(validator, Operation::Validators(validator_set), None).await
    }
}
