//! A ledger and the state that it amounts to, kept up to date: what peers and validators work with.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::LedgerError;
use super::ledger::Ledger;
use super::operation::{CheckpointDigest, Operation, Scores};
use super::rejection::Rejection;
use crate::ledger::state::{LedgerState, ValidatorSetChange};
use crate::primitives::{Digest, Keypair, PeerId};

/// One reader's view of a ledger, and its pen.
///
/// What would have no effect is refused before it is written.
#[derive(Debug)]
pub struct LedgerClient {
    ledger: Arc<dyn Ledger>,
    state: LedgerState,
}

impl LedgerClient {
    /// Nothing read yet.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        let state = LedgerState::genesis(ledger.genesis());
        Self { ledger, state }
    }

    /// The state as of the last [`refresh`](Self::refresh).
    pub fn state(&self) -> &LedgerState {
        &self.state
    }

    /// Reads what is new, one request where nothing is; gives how many lines that were.
    ///
    /// # Errors
    /// What the keeper says.
    pub async fn refresh(&mut self) -> Result<usize, LedgerError> {
        self.refresh_watching(None).await.map(|(count, _)| count)
    }

    /// The same, telling why the line of number `watched` has no effect, if it has none.
    async fn refresh_watching(
        &mut self,
        watched: Option<u64>,
    ) -> Result<(usize, Option<Rejection>), LedgerError> {
        let lines = self.ledger.read(self.state.next()).await?;
        let mut rejection = None;
        for line in &lines {
            let outcome = self.state.apply(line);
            if Some(line.number) == watched {
                rejection = outcome.err();
            }
        }
        Ok((lines.len(), rejection))
    }

    /// Says something in the author's name; gives the number of the entry.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] for what would have no effect, [`LedgerError::Overtaken`] if another entry came first, or
    /// what the keeper says.
    pub async fn submit(
        &mut self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError> {
        self.refresh().await?;
        self.state.permits(author.peer(), &operation)?;
        let number = self.ledger.append(author, operation, successor).await?;
        match self.refresh_watching(Some(number)).await? {
            (_, None) => Ok(number),
            (_, Some(rejection)) => Err(LedgerError::Overtaken { number, rejection }),
        }
    }

    /// Takes part from now on, with deltas in the run's bucket or in the one at `bucket`.
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

    /// Moves a member's deltas.
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

    /// Goes on under another key.
    ///
    /// # Errors
    /// As for [`LedgerClient::submit`].
    pub async fn rotate(&mut self, old: &Keypair, new: &Keypair) -> Result<u64, LedgerError> {
        self.submit(old, Operation::Rotate { to: new.peer() }, Some(new)).await
    }

    /// Takes part no longer.
    ///
    /// # Errors
    /// As for [`LedgerClient::submit`].
    pub async fn leave(&mut self, peer: &Keypair) -> Result<u64, LedgerError> {
        self.submit(peer, Operation::Leave {}, None).await
    }

    /// Names the verdict on a round.
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

    /// Names the weights at the start of a round.
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

    /// Votes for other validators.
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
        self.refresh().await?;
        let generation = self.state.validator_set().generation.saturating_add(1);
        let validator_set = ValidatorSetChange { generation, members, threshold, accounts };
        self.submit(validator, Operation::Validators(validator_set), None).await
    }
}
