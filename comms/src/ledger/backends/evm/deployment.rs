//! Putting the contract of a new run onto a chain.

use std::collections::BTreeMap;

use alloy::network::TransactionBuilder;
use alloy::primitives::{B256, Bytes, U256};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use alloy::sol_types::SolValue;
use url::Url;

use super::abi::BYTECODE;
use super::account::Account;
use super::rpc::{ACCEPTANCE_TIMEOUT, connect, keeper_error, transport_error};
use super::wallet::Wallet;
use crate::ledger::error::LedgerError;
use crate::ledger::state::Genesis;
use crate::primitives::PeerId;

/// A contract that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Its address.
    pub contract: Account,
    /// What it cost.
    pub gas: u64,
}

/// Deploys the contract of a run.
///
/// `accounts` are the wallets of the charter's validators; `stake` is what registering costs until one leaves, in wei, and
/// `delay` how many seconds after that it comes back.
///
/// # Errors
/// Validators that are not those of the charter, or what the node says.
pub async fn deploy(
    node: &Url,
    wallet: &Wallet,
    genesis: &Genesis,
    accounts: &BTreeMap<PeerId, Account>,
    stake: u128,
    delay: u64,
) -> Result<Deployment, LedgerError> {
    if !genesis.validator_set.members.iter().eq(accounts.keys()) {
        return Err(keeper_error(
            node,
            "every validator of the run needs a wallet, and nobody else",
            false,
            None,
        ));
    }
    let provider = connect(node, Some(wallet))?;
    let transaction = TransactionRequest::default()
        .with_deploy_code(deployment_code(genesis, accounts, stake, delay));
    let sent = provider
        .send_transaction(transaction)
        .await
        .map_err(|error| transport_error(node, error))?;
    let receipt = sent
        .with_timeout(Some(ACCEPTANCE_TIMEOUT))
        .get_receipt()
        .await
        .map_err(|error| keeper_error(node, &error.to_string(), true, None))?;
    match receipt.contract_address.filter(|_| receipt.status()) {
        Some(contract) => Ok(Deployment { contract, gas: receipt.gas_used }),
        None => Err(keeper_error(node, "the contract was not accepted", false, None)),
    }
}

/// The bytecode with the arguments of the constructor behind it.
fn deployment_code(
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
