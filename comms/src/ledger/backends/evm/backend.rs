//! A contract as the keeper of a ledger.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy::network::Ethereum;
use alloy::primitives::{B256, U256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{Filter, TransactionReceipt};
use async_trait::async_trait;

use super::abi::CoveyLedger::{self, CoveyLedgerInstance};
use super::account::{Account, accounts_digest, to_words};
use super::address::EvmAddress;
use super::events::ContractOrigin;
use super::rpc::{
    ACCEPTANCE_TIMEOUT, call_error, connect, is_stale, keeper_error, transport_error,
};
use super::wallet::Wallet;
use crate::ledger::entry::Entry;
use crate::ledger::error::LedgerError;
use crate::ledger::ledger::{Ledger, NumberedEntry};
use crate::ledger::operation::Operation;
use crate::ledger::state::Genesis;
use crate::primitives::{Digest, Keypair, PeerId};

/// Blocks whose events are asked for at once; nodes limit that.
const PAGE: u64 = 2_000;
/// How often another call of our own wallet may come in between.
const MOST_ATTEMPTS: u32 = 8;

type Contract = CoveyLedgerInstance<DynProvider<Ethereum>>;
type PendingCall = alloy::providers::PendingTransactionBuilder<Ethereum>;

/// What a call cost, and the line it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number of the line, if the call made one.
    pub number: Option<u64>,
    /// What the call cost.
    pub gas: u64,
}

/// A ledger in a contract, read by anybody and written by one wallet.
///
/// What was read is kept, so every event is asked for once. A block that is undone after it was read stays read: ask for
/// as many [confirmations](EvmAddress::confirmations) as the chain needs.
#[derive(Debug)]
pub struct EvmLedger {
    address: EvmAddress,
    genesis: Genesis,
    wallet: Option<Wallet>,
    provider: DynProvider<Ethereum>,
    contract: Contract,
    origin: ContractOrigin,
    known: Mutex<ChainState>,
    successors: Mutex<BTreeMap<Digest, BTreeMap<PeerId, Account>>>,
}

#[derive(Debug)]
struct ChainState {
    lines: Vec<NumberedEntry>,
    next_block: u64,
}

impl EvmLedger {
    /// The ledger of a run at `address`; it can be written to with a wallet.
    ///
    /// # Errors
    /// [`LedgerError::OtherLedger`] if the contract is not that run's, or what the node says.
    pub async fn open(
        address: EvmAddress,
        genesis: Genesis,
        wallet: Option<Wallet>,
    ) -> Result<Self, LedgerError> {
        let provider = connect(&address.node, wallet.as_ref())?;
        let contract = CoveyLedger::new(address.contract, provider.clone());
        let chain =
            provider.get_chain_id().await.map_err(|error| transport_error(&address.node, error))?;
        let called = |error| call_error(&address.node, error);
        check_run(&address, &genesis, contract.run().call().await.map_err(called)?)?;
        check_validator_set(&address, &genesis, &contract).await?;
        let next_block = contract.firstBlock().call().await.map_err(called)?;
        let origin = ContractOrigin { run: genesis.run, chain, contract: address.contract };
        let known = Mutex::new(ChainState { lines: Vec::new(), next_block });
        Ok(Self {
            address,
            genesis,
            wallet,
            provider,
            contract,
            origin,
            known,
            successors: Mutex::default(),
        })
    }

    /// Learns the wallets of validators that are to be voted for; gives what the vote calls them.
    pub fn remember(&self, accounts: BTreeMap<PeerId, Account>) -> Digest {
        let digest = accounts_digest(&accounts);
        lock(&self.successors).insert(digest, accounts);
        digest
    }

    /// Gets the stake back, a delay after leaving.
    ///
    /// # Errors
    /// What the contract or the node says.
    pub async fn withdraw(&self) -> Result<Receipt, LedgerError> {
        self.wallet()?;
        let sent = self.contract.withdraw().send().await.map_err(|error| self.call_error(error))?;
        self.receipt(sent).await
    }

    /// What registering costs until one leaves, in wei.
    ///
    /// # Errors
    /// What the node says.
    pub async fn stake(&self) -> Result<u128, LedgerError> {
        let stake = self.contract.stake().call().await.map_err(|error| self.call_error(error))?;
        Ok(stake.try_into().unwrap_or(u128::MAX))
    }

    /// Signs a statement and has the contract keep it; also tells what that cost.
    ///
    /// # Errors
    /// As for [`Ledger::append`].
    pub async fn call(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<Receipt, LedgerError> {
        let wallet = self.wallet()?.account();
        for _ in 0..MOST_ATTEMPTS {
            let account = self
                .contract
                .accounts(wallet)
                .call()
                .await
                .map_err(|error| self.call_error(error))?;
            self.check_author(author.peer(), &operation, account.key).await?;
            let place = self.origin.place(wallet, account.calls);
            let entry = Entry::seal(author, place, operation.clone(), successor)?;
            match self.send(&entry, account.deposit).await? {
                Ok(pending) => return self.receipt(pending).await,
                Err(error) if is_stale(&error) => {}
                Err(error) => return Err(self.call_error(error)),
            }
        }
        Err(LedgerError::Crowded { attempts: MOST_ATTEMPTS })
    }

    fn wallet(&self) -> Result<&Wallet, LedgerError> {
        self.wallet
            .as_ref()
            .ok_or_else(|| LedgerError::NoWallet { keeper: self.address.to_string() })
    }

    /// A call whose event would name another key than the one that signs has no effect and still costs.
    async fn check_author(
        &self,
        author: PeerId,
        operation: &Operation,
        member: B256,
    ) -> Result<(), LedgerError> {
        let key = match operation {
            Operation::Register { .. } => return Ok(()),
            Operation::Scores(_) | Operation::Checkpoint(_) | Operation::Validators(_) => {
                self.validator_key().await?
            }
            _ => member,
        };
        match PeerId::from_bytes(key.0) {
            peer if peer == author => Ok(()),
            _ if key.is_zero() => {
                let reason =
                    format!("the wallet is not that of {}, nor of anybody here", author.short());
                Err(keeper_error(&self.address.node, &reason, false, None))
            }
            peer => {
                let reason =
                    format!("the wallet belongs to {}, not {}", peer.short(), author.short());
                Err(keeper_error(&self.address.node, &reason, false, None))
            }
        }
    }

    async fn validator_key(&self) -> Result<B256, LedgerError> {
        let wallet = self.wallet()?.account();
        let generation =
            self.contract.generation().call().await.map_err(|error| self.call_error(error))?;
        self.contract
            .validatorKey(generation, wallet)
            .call()
            .await
            .map_err(|error| self.call_error(error))
    }

    /// Sends the call that an entry is; the contract's own refusals come back as they are.
    async fn send(
        &self,
        entry: &Entry,
        deposit: U256,
    ) -> Result<Result<PendingCall, alloy::contract::Error>, LedgerError> {
        let (call, signature) = (entry.place().number, to_words(entry.signature()));
        let key = word(&Digest::from_bytes(*entry.author().as_bytes()));
        let contract = &self.contract;
        Ok(match entry.operation() {
            Operation::Register { bucket } => {
                let stake =
                    contract.stake().call().await.map_err(|error| self.call_error(error))?;
                let bucket = bucket.clone().unwrap_or_default();
                contract
                    .register(key, bucket, call, signature)
                    .value(stake.saturating_sub(deposit))
                    .send()
                    .await
            }
            Operation::Announce { bucket } => {
                contract.announce(bucket.clone().unwrap_or_default(), call, signature).send().await
            }
            Operation::Rotate { to } => {
                let consent = entry.consent().map(to_words).unwrap_or_default();
                contract.rotate(B256::from(*to.as_bytes()), call, signature, consent).send().await
            }
            Operation::Leave {} => contract.depart(call, signature).send().await,
            Operation::Scores(scores) => {
                let payouts = scores.payouts.as_ref().map(word).unwrap_or_default();
                contract
                    .postScores(scores.round.0, word(&scores.verdict), payouts, call, signature)
                    .send()
                    .await
            }
            Operation::Checkpoint(checkpoint) => {
                let (lineage, weights) =
                    (word(checkpoint.lineage.digest()), word(&checkpoint.weights));
                contract
                    .postCheckpoint(checkpoint.round.0, lineage, weights, call, signature)
                    .send()
                    .await
            }
            Operation::Validators(validator_set) => {
                let accounts = validator_set
                    .accounts
                    .and_then(|digest| lock(&self.successors).get(&digest).cloned());
                let unknown = || {
                    keeper_error(&self.address.node, "the new validators need wallets", false, None)
                };
                let (keys, wallets): (Vec<_>, Vec<_>) =
                    accounts.ok_or_else(unknown)?.into_iter().unzip();
                let keys = keys.iter().map(|key| B256::from(*key.as_bytes())).collect();
                let (generation, threshold) = (validator_set.generation, validator_set.threshold);
                contract
                    .voteValidators(generation, threshold, keys, wallets, call, signature)
                    .send()
                    .await
            }
        })
    }

    /// Waits until a call is as certain as readers want it.
    async fn receipt(&self, pending: PendingCall) -> Result<Receipt, LedgerError> {
        let confirmations = self.address.confirmations.saturating_add(1);
        let pending = pending
            .with_required_confirmations(confirmations)
            .with_timeout(Some(ACCEPTANCE_TIMEOUT));
        let receipt = pending.get_receipt().await;
        let receipt = receipt
            .map_err(|error| keeper_error(&self.address.node, &error.to_string(), true, None))?;
        match receipt.status() {
            true => Ok(Receipt { number: self.number_in(&receipt), gas: receipt.gas_used }),
            false => {
                Err(keeper_error(&self.address.node, "the contract refused the call", false, None))
            }
        }
    }

    fn number_in(&self, receipt: &TransactionReceipt) -> Option<u64> {
        let ours = receipt.logs().iter().filter(|log| log.address() == self.address.contract);
        ours.filter_map(|log| self.origin.line(log)).map(|line| line.number).next()
    }

    /// Asks for the events of all blocks that are certain and were not asked for.
    async fn refresh(&self) -> Result<(), LedgerError> {
        let transport = |error| transport_error(&self.address.node, error);
        let newest = self.provider.get_block_number().await.map_err(transport)?;
        let Some(head) = newest.checked_sub(self.address.confirmations) else { return Ok(()) };
        loop {
            let first = lock(&self.known).next_block;
            if first > head {
                return Ok(());
            }
            let last = head.min(first.saturating_add(PAGE - 1));
            let filter =
                Filter::new().address(self.address.contract).from_block(first).to_block(last);
            let logs = self.provider.get_logs(&filter).await.map_err(transport)?;
            self.take_in(first, last, logs.iter().filter_map(|log| self.origin.line(log)))?;
        }
    }

    /// Adds the lines of some blocks, unless another task has.
    fn take_in(
        &self,
        first: u64,
        last: u64,
        lines: impl Iterator<Item = NumberedEntry>,
    ) -> Result<(), LedgerError> {
        let mut known = lock(&self.known);
        if known.next_block != first {
            return Ok(());
        }
        let new: Vec<NumberedEntry> = lines.collect();
        let mut numbered = (known.lines.len() as u64..).zip(&new);
        if let Some((missing, line)) = numbered.find(|(expected, line)| line.number != *expected) {
            return Err(LedgerError::Gap { missing, next: line.number });
        }
        known.lines.extend(new);
        known.next_block = last.saturating_add(1);
        Ok(())
    }

    fn call_error(&self, error: alloy::contract::Error) -> LedgerError {
        call_error(&self.address.node, error)
    }
}

#[async_trait]
impl Ledger for EvmLedger {
    fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    async fn read(&self, since: u64) -> Result<Vec<NumberedEntry>, LedgerError> {
        self.refresh().await?;
        let start = usize::try_from(since).unwrap_or(usize::MAX);
        Ok(lock(&self.known).lines.get(start..).unwrap_or_default().to_vec())
    }

    async fn append(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError> {
        let receipt = self.call(author, operation, successor).await?;
        let missing = || {
            keeper_error(&self.address.node, "the receipt names no line of the ledger", false, None)
        };
        receipt.number.ok_or_else(missing)
    }
}

fn check_run(address: &EvmAddress, genesis: &Genesis, got: B256) -> Result<(), LedgerError> {
    let (expected, got) = (genesis.run.to_string(), Digest::from_bytes(got.0).to_string());
    match got == expected {
        true => Ok(()),
        false => Err(LedgerError::OtherLedger { keeper: address.to_string(), expected, got }),
    }
}

/// Holds the first validators to those of the run's description, while they are the contract's.
async fn check_validator_set(
    address: &EvmAddress,
    genesis: &Genesis,
    contract: &Contract,
) -> Result<(), LedgerError> {
    let called = |error| call_error(&address.node, error);
    if contract.generation().call().await.map_err(called)? != 0 {
        return Ok(());
    }
    let mut keys = Vec::new();
    for wallet in contract.validators().call().await.map_err(called)? {
        let key = contract.validatorKey(0, wallet).call().await.map_err(called)?;
        keys.push(PeerId::from_bytes(key.0));
    }
    let threshold = contract.threshold().call().await.map_err(called)?;
    keys.sort_unstable();
    if genesis.validator_set.members.iter().eq(&keys)
        && threshold == genesis.validator_set.threshold
    {
        return Ok(());
    }
    let name = |threshold: u32, count: usize| {
        format!("a run where {threshold} of {count} named validators agree")
    };
    let expected = name(genesis.validator_set.threshold, genesis.validator_set.members.len());
    Err(LedgerError::OtherLedger {
        keeper: address.to_string(),
        expected,
        got: name(threshold, keys.len()),
    })
}

fn word(digest: &Digest) -> B256 {
    B256::from(*digest.as_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
