//! A ledger in a contract: opening and reading.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy::network::Ethereum;
use alloy::primitives::B256;
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::Filter;
use async_trait::async_trait;

use super::abi::CoveyLedger::{self, CoveyLedgerInstance};
use super::account::{Account, accounts_digest};
use super::address::EvmAddress;
use super::events::ContractOrigin;
use super::rpc::{NodeResult, answer, backend_error, connect};
use super::wallet::Wallet;
use crate::ledger::error::LedgerError;
use crate::ledger::ledger::{Ledger, NumberedEntry};
use crate::ledger::operation::Operation;
use crate::ledger::state::Genesis;
use crate::primitives::{Digest, Keypair, PeerId};

/// Blocks per request for events. Public nodes limit the range of a request, some to 2,000 blocks.
const PAGE: u64 = 2_000;

type Contract = CoveyLedgerInstance<DynProvider<Ethereum>>;

/// A ledger in a contract. Anyone can read it; writing needs a wallet.
///
/// Entries stay in memory, so each event is requested once. An entry of a block that the chain
/// replaces later stays in memory too: configure as many
/// [confirmations](EvmAddress::confirmations) as the chain needs.
#[derive(Debug)]
pub struct EvmLedger {
    pub(super) address: EvmAddress,
    genesis: Genesis,
    pub(super) wallet: Option<Wallet>,
    provider: DynProvider<Ethereum>,
    pub(super) contract: Contract,
    pub(super) origin: ContractOrigin,
    known: Mutex<ChainState>,
    successors: Mutex<SuccessorWallets>,
}

/// Wallets of possible next validator sets, by their digest.
type SuccessorWallets = BTreeMap<Digest, BTreeMap<PeerId, Account>>;

#[derive(Debug)]
struct ChainState {
    entries: Vec<NumberedEntry>,
    next_block: u64,
}

impl EvmLedger {
    /// Opens the ledger of a run at `address`.
    ///
    /// # Errors
    /// [`LedgerError::OtherLedger`] if the contract belongs to another run, or a failure of the
    /// node.
    pub async fn open(
        address: EvmAddress,
        genesis: Genesis,
        wallet: Option<Wallet>,
    ) -> Result<Self, LedgerError> {
        let provider = connect(&address.node, wallet.as_ref())?;
        let contract = CoveyLedger::new(address.contract, provider.clone());
        let chain = answer(&address.node, provider.get_chain_id().await)?;
        let run = answer(&address.node, contract.run().call().await)?;
        check_run(&address, &genesis, run)?;
        let validators = answer(&address.node, first_validators(&contract).await)?;
        check_validators(&address, &genesis, validators)?;
        let next_block = answer(&address.node, contract.firstBlock().call().await)?;
        let origin = ContractOrigin { run: genesis.run, chain, contract: address.contract };
        let known = Mutex::new(ChainState { entries: Vec::new(), next_block });
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

    /// Stores the wallets of validators to vote for; returns the digest that the vote names.
    pub fn add_successor_accounts(&self, accounts: BTreeMap<PeerId, Account>) -> Digest {
        let digest = accounts_digest(&accounts);
        self.successors().insert(digest, accounts);
        digest
    }

    /// The deposit for a registration, in wei.
    ///
    /// # Errors
    /// A failure of the node.
    pub async fn stake(&self) -> Result<u128, LedgerError> {
        let stake = self.answer(self.contract.stake().call().await)?;
        Ok(stake.try_into().unwrap_or(u128::MAX))
    }

    /// Requests the events of all new blocks with enough confirmations.
    async fn refresh(&self) -> Result<(), LedgerError> {
        let newest = self.answer(self.provider.get_block_number().await)?;
        let Some(head) = newest.checked_sub(self.address.confirmations) else { return Ok(()) };
        // Each page is stored at once, so a read that fails midway continues there.
        loop {
            let first = lock(&self.known).next_block;
            if first > head {
                return Ok(());
            }
            let last = head.min(first.saturating_add(PAGE - 1));
            let filter =
                Filter::new().address(self.address.contract).from_block(first).to_block(last);
            let logs = self.answer(self.provider.get_logs(&filter).await)?;
            self.add(first, last, logs.iter().filter_map(|log| self.origin.entry_of(log)))?;
        }
    }

    /// Adds the entries of the blocks `first` to `last`, unless another task added them meanwhile.
    fn add(
        &self,
        first: u64,
        last: u64,
        entries: impl Iterator<Item = NumberedEntry>,
    ) -> Result<(), LedgerError> {
        let mut known = lock(&self.known);
        if known.next_block != first {
            return Ok(());
        }
        let new: Vec<NumberedEntry> = entries.collect();
        // The contract numbers events without gaps, so a gap means that the node withholds one.
        let mut numbered = (known.entries.len() as u64..).zip(&new);
        if let Some((missing, entry)) = numbered.find(|(expected, entry)| entry.number != *expected)
        {
            return Err(LedgerError::Gap { missing, next: entry.number });
        }
        known.entries.extend(new);
        known.next_block = last.saturating_add(1);
        Ok(())
    }

    pub(super) fn successors(&self) -> MutexGuard<'_, SuccessorWallets> {
        lock(&self.successors)
    }

    /// Converts the error of an exchange with the node.
    pub(super) fn answer<T>(
        &self,
        result: Result<T, impl Into<alloy::contract::Error>>,
    ) -> Result<T, LedgerError> {
        answer(&self.address.node, result)
    }

    /// A definite error: the same request would fail again.
    pub(super) fn refusal(&self, reason: &str) -> LedgerError {
        backend_error(&self.address.node, reason, false, None)
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
        Ok(lock(&self.known).entries.get(start..).unwrap_or_default().to_vec())
    }

    async fn append(
        &self,
        author: &Keypair,
        operation: Operation,
        successor: Option<&Keypair>,
    ) -> Result<u64, LedgerError> {
        let receipt = self.call(author, operation, successor).await?;
        receipt.number.ok_or_else(|| self.refusal("the receipt names no entry of the ledger"))
    }
}

fn check_run(address: &EvmAddress, genesis: &Genesis, got: B256) -> Result<(), LedgerError> {
    let (expected, got) = (genesis.run.to_string(), Digest::from_bytes(got.0).to_string());
    if got == expected {
        return Ok(());
    }
    Err(LedgerError::OtherLedger { backend: address.to_string(), expected, got })
}

/// The sorted keys and the threshold of the first validator set, or `None` after a change: the
/// contract lists only the current wallets.
async fn first_validators(contract: &Contract) -> NodeResult<Option<(Vec<PeerId>, u32)>> {
    if contract.generation().call().await? != 0 {
        return Ok(None);
    }
    let mut keys = Vec::new();
    for wallet in contract.validators().call().await? {
        keys.push(PeerId::from_bytes(contract.validatorKey(0, wallet).call().await?.0));
    }
    keys.sort_unstable();
    Ok(Some((keys, contract.threshold().call().await?)))
}

/// Checks the first validators of the contract against the genesis config.
///
/// Anyone can deploy a contract for a run. Without this check, its deployer could choose validators
/// that the run description does not name.
fn check_validators(
    address: &EvmAddress,
    genesis: &Genesis,
    got: Option<(Vec<PeerId>, u32)>,
) -> Result<(), LedgerError> {
    let Some((keys, threshold)) = got else { return Ok(()) };
    let expected = &genesis.validator_set;
    if expected.members.iter().eq(&keys) && threshold == expected.threshold {
        return Ok(());
    }
    Err(LedgerError::OtherLedger {
        backend: address.to_string(),
        expected: describe_validators(expected.threshold, expected.members.len()),
        got: describe_validators(threshold, keys.len()),
    })
}

fn describe_validators(threshold: u32, count: usize) -> String {
    format!("a run with threshold {threshold} of {count} given validators")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
