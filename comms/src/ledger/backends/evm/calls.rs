//! Calls that write to a contract.

use std::collections::BTreeMap;

use alloy::network::Ethereum;
use alloy::primitives::{B256, U256};
use alloy::providers::PendingTransactionBuilder;
use alloy::rpc::types::TransactionReceipt;

use super::account::{Account, to_words};
use super::backend::EvmLedger;
use super::rpc::{ACCEPTANCE_TIMEOUT, NodeResult, is_stale};
use super::wallet::Wallet;
use crate::ledger::entry::Entry;
use crate::ledger::error::LedgerError;
use crate::ledger::operation::Operation;
use crate::primitives::{Digest, Keypair, PeerId};

/// Attempts to send a call before the writer gives up.
///
/// An attempt fails only if another process sends a call from the same wallet in between, which is
/// rare: a wallet belongs to one peer or validator.
const MAX_ATTEMPTS: u32 = 8;

type PendingCall = PendingTransactionBuilder<Ethereum>;

/// The cost of a call, and the entry that it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number of the entry, if the call wrote one.
    pub number: Option<u64>,
    /// The cost of the call.
    pub gas: u64,
}

impl EvmLedger {
    /// Signs an operation and writes it to the contract; returns the cost too.
    ///
    /// # Errors
    /// As for [`Ledger::append`](crate::ledger::Ledger::append).
    pub async fn call(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<Receipt, LedgerError> {
        let wallet = self.wallet()?.account();
        let successors = self.successor_accounts(&operation)?;
        for _ in 0..MAX_ATTEMPTS {
            let account = self.answer(self.contract.accounts(wallet).call().await)?;
            self.check_author(author.peer(), &operation, account.key).await?;
            let position = self.origin.position(wallet, account.calls);
            let entry = Entry::seal(author, position, operation.clone(), successor)?;
            let sent = self.send(&entry, account.deposit, &successors).await;
            // Another call of the wallet took the position, so the entry must be signed again.
            if sent.as_ref().is_err_and(is_stale) {
                continue;
            }
            return self.receipt(self.answer(sent)?).await;
        }
        Err(LedgerError::Contended { attempts: MAX_ATTEMPTS })
    }

    /// Withdraws the stake, which the contract pays out a delay after the peer left.
    ///
    /// # Errors
    /// A revert of the contract, or a failure of the node.
    pub async fn withdraw(&self) -> Result<Receipt, LedgerError> {
        self.wallet()?;
        let sent = self.answer(self.contract.withdraw().send().await)?;
        self.receipt(sent).await
    }
    fn wallet(&self) -> Result<&Wallet, LedgerError> {
        self.wallet
            .as_ref()
            .ok_or_else(|| LedgerError::NoWallet { backend: self.address.to_string() })
    }

    /// Checks that the contract knows the wallet by the key that signs.
    ///
    /// Otherwise the event would name another key: readers would skip it, and the call would still
    /// cost gas.
    async fn check_author(
        &self,
        author: PeerId,
        operation: &Operation,
        registered: B256,
    ) -> Result<(), LedgerError> {
        let key = match operation {
            // This call is what binds the wallet to a key.
            Operation::Register { .. } => return Ok(()),
            Operation::Scores(_) | Operation::Checkpoint(_) | Operation::Validators(_) => {
                self.answer(self.validator_key().await)?
            }
            _ => registered,
        };
        let owner = PeerId::from_bytes(key.0);
        if owner == author {
            return Ok(());
        }
        let reason = if key.is_zero() {
            format!("the wallet belongs to no key of this ledger, expected {}", author.short())
        } else {
            format!("the wallet belongs to {}, expected {}", owner.short(), author.short())
        };
        Err(self.refusal(&reason))
    }

    /// The key of the validator with this wallet; zero if there is none.
    async fn validator_key(&self) -> NodeResult<B256> {
        let Some(wallet) = &self.wallet else { return Ok(B256::ZERO) };
        let generation = self.contract.generation().call().await?;
        self.contract.validatorKey(generation, wallet.account()).call().await
    }

    /// The wallets of the validators that `operation` votes for; empty for any other operation.
    ///
    /// # Errors
    /// A vote for validators with wallets that are unknown here: the contract needs the wallets,
    /// and the vote names only their digest.
    fn successor_accounts(
        &self,
        operation: &Operation,
    ) -> Result<BTreeMap<PeerId, Account>, LedgerError> {
        let Operation::Validators(validator_set) = operation else { return Ok(BTreeMap::new()) };
        validator_set
            .accounts
            .and_then(|digest| self.successors().get(&digest).cloned())
            .ok_or_else(|| self.refusal("the wallets of the new validators are unknown"))
    }

    /// Sends the call of an entry.
    async fn send(
        &self,
        entry: &Entry,
        deposit: U256,
        successors: &BTreeMap<PeerId, Account>,
    ) -> NodeResult<PendingCall> {
        let (number, signature) = (entry.position().number, to_words(entry.signature()));
        let contract = &self.contract;
        match entry.operation() {
            Operation::Register { bucket } => {
                let key = B256::from(*entry.author().as_bytes());
                let bucket = bucket.clone().unwrap_or_default();
                // A peer that returns before it withdrew has its old deposit in the contract.
                let missing = contract.stake().call().await?.saturating_sub(deposit);
                contract.register(key, bucket, number, signature).value(missing).send().await
            }
            Operation::Announce { bucket } => {
                let bucket = bucket.clone().unwrap_or_default();
                contract.announce(bucket, number, signature).send().await
            }
            Operation::Rotate { to } => {
                let to = B256::from(*to.as_bytes());
                let consent = entry.consent().map(to_words).unwrap_or_default();
                contract.rotate(to, number, signature, consent).send().await
            }
            Operation::Leave {} => contract.depart(number, signature).send().await,
            Operation::Scores(scores) => {
                let (round, verdict) = (scores.round.0, word(&scores.verdict));
                let payouts = scores.payouts.as_ref().map(word).unwrap_or_default();
                contract.postScores(round, verdict, payouts, number, signature).send().await
            }
            Operation::Checkpoint(checkpoint) => {
                let round = checkpoint.round.0;
                let lineage = word(checkpoint.lineage.digest());
                let weights = word(&checkpoint.weights);
                contract.postCheckpoint(round, lineage, weights, number, signature).send().await
            }
            Operation::Validators(set) => {
                let keys = successors.keys().map(|key| B256::from(*key.as_bytes())).collect();
                let wallets = successors.values().copied().collect();
                contract
                    .voteValidators(set.generation, set.threshold, keys, wallets, number, signature)
                    .send()
                    .await
            }
        }
    }

    /// Waits for as many confirmations as readers of this address wait for.
    async fn receipt(&self, pending: PendingCall) -> Result<Receipt, LedgerError> {
        // The block with the call counts as the first confirmation.
        let confirmations = self.address.confirmations.saturating_add(1);
        let receipt = pending
            .with_required_confirmations(confirmations)
            .with_timeout(Some(ACCEPTANCE_TIMEOUT))
            .get_receipt()
            .await;
        let receipt = self.answer(receipt)?;
        if receipt.status() {
            Ok(Receipt { number: self.number_in(&receipt), gas: receipt.gas_used })
        } else {
            Err(self.refusal("the contract reverted the call"))
        }
    }

    fn number_in(&self, receipt: &TransactionReceipt) -> Option<u64> {
        // A wallet can be a contract that calls others, so foreign logs are possible.
        let own = receipt.logs().iter().filter(|log| log.address() == self.address.contract);
        own.filter_map(|log| self.origin.entry_of(log)).map(|entry| entry.number).next()
    }
}

fn word(digest: &Digest) -> B256 {
    B256::from(*digest.as_bytes())
}
