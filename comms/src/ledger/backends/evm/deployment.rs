//! Deployment of the contract of a new run.

use std::collections::BTreeMap;

use alloy::network::TransactionBuilder;
use alloy::primitives::{B256, Bytes, U256};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolValue;
use url::Url;

use super::abi::BYTECODE;
use super::account::Account;
use super::rpc::{ACCEPTANCE_TIMEOUT, answer, backend_error, connect};
use super::wallet::Wallet;
use crate::ledger::error::LedgerError;
use crate::ledger::state::Genesis;
use crate::primitives::PeerId;

/// A deployed contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The address of the contract.
    pub contract: Account,
    /// The cost of the deployment.
    pub gas: u64,
}

/// Deploys the contract of a run.
///
/// `accounts` are the wallets of the first validators. `stake` is the deposit for a registration,
/// in wei; `delay` is the time between leaving and its return, in seconds.
///
/// # Errors
/// Wallets for other keys than the validators in `genesis`, or a failure of the node.
pub async fn deploy(
    node: &Url,
    wallet: &Wallet,
    genesis: &Genesis,
    accounts: &BTreeMap<PeerId, Account>,
    stake: u128,
    delay: u64,
) -> Result<Deployment, LedgerError> {
    // Checked before paying: readers would refuse the contract, and it cannot be changed.
    if !genesis.validator_set.members.iter().eq(accounts.keys()) {
        let reason = "wallets must be given for exactly the validators of the run";
        return Err(backend_error(node, reason, false, None));
    }
    let provider = connect(node, Some(wallet))?;
    let transaction = TransactionRequest::default()
        .with_deploy_code(creation_code(genesis, accounts, stake, delay));
    let sent = answer(node, provider.send_transaction(transaction).await)?;
    let receipt = sent.with_timeout(Some(ACCEPTANCE_TIMEOUT)).get_receipt().await;
    let receipt = answer(node, receipt)?;
    // A reverted deployment has a receipt with an address as well.
    match receipt.contract_address.filter(|_| receipt.status()) {
        Some(contract) => Ok(Deployment { contract, gas: receipt.gas_used }),
        None => Err(backend_error(node, "the deployment was reverted", false, None)),
    }
}

/// The bytecode followed by the constructor arguments.
fn creation_code(
    genesis: &Genesis,
    accounts: &BTreeMap<PeerId, Account>,
    stake: u128,
    delay: u64,
) -> Bytes {
    let keys: Vec<B256> = accounts.keys().map(|peer| B256::from(*peer.as_bytes())).collect();
    let wallets: Vec<Account> = accounts.values().copied().collect();
    let run = B256::from(*genesis.run.digest().as_bytes());
    let arguments = (run, U256::from(stake), delay, keys, wallets, genesis.validator_set.threshold)
        .abi_encode_params();
    let mut code =
        alloy::hex::decode(BYTECODE.trim()).expect("the committed bytecode is hexadecimal");
    code.extend(arguments);
    code.into()
}
