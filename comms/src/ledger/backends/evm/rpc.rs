//! The way to a chain, and what its answers mean.

use std::time::Duration;

use alloy::network::{Ethereum, EthereumWallet};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use url::Url;

use super::abi::CoveyLedger::CoveyLedgerErrors;
use super::wallet::Wallet;
use crate::ledger::error::LedgerError;

/// How long a node may take to accept a connection, and to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a chain may take to accept a call; later it may still, but nobody waits for it.
pub(super) const ACCEPTANCE_TIMEOUT: Duration = Duration::from_secs(600);

/// A node, able to sign if there is a wallet.
pub(super) fn connect(
    node: &Url,
    wallet: Option<&Wallet>,
) -> Result<DynProvider<Ethereum>, LedgerError> {
    // Whoever was first has set the very same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).build();
    let client = client
        .map_err(|error| keeper_error(node, "no HTTP client", false, Some(Box::new(error))))?;
    // A cached number would leave a gap after every call that the contract refuses, and no later call would be accepted.
    let builder = ProviderBuilder::new().with_simple_nonce_management();
    Ok(match wallet {
        Some(wallet) => builder
            .wallet(EthereumWallet::from(wallet.signer()))
            .connect_reqwest(client, node.clone())
            .erased(),
        None => builder.connect_reqwest(client, node.clone()).erased(),
    })
}

/// Names a node by its host alone: the rest of its address may be a key.
pub(super) fn name(node: &Url) -> String {
    format!("the node {}", node.host_str().unwrap_or("?"))
}

pub(super) fn keeper_error(
    node: &Url,
    reason: &str,
    is_passing: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
) -> LedgerError {
    LedgerError::Keeper { keeper: name(node), reason: reason.into(), is_passing, source }
}

/// What a call that did not work means.
pub(super) fn call_error(node: &Url, error: alloy::contract::Error) -> LedgerError {
    if let Some(reason) = revert_of(&error) {
        return keeper_error(node, &format!("the contract refuses: {reason}"), false, None);
    }
    match error {
        alloy::contract::Error::TransportError(error) => transport_error(node, error),
        error => keeper_error(node, &plain(node, &error), false, None),
    }
}

/// What a request that did not work means: an answer that says no stays, anything else may pass.
pub(super) fn transport_error(node: &Url, error: alloy::transports::TransportError) -> LedgerError {
    let is_answer = error.as_error_resp().is_some();
    let reason = match error.as_error_resp() {
        Some(answer) => answer.message.to_string(),
        None => plain(node, &error),
    };
    keeper_error(node, &reason, !is_answer, None)
}

/// The error's text without the node's address.
fn plain(node: &Url, error: &dyn std::error::Error) -> String {
    let mut text = error.to_string().replace(node.as_str(), node.host_str().unwrap_or("?"));
    text.truncate(text.char_indices().nth(300).map_or(text.len(), |(end, _)| end));
    text
}

/// Whether a call came with a number that another call of the same wallet has used meanwhile.
pub(super) fn is_stale(error: &alloy::contract::Error) -> bool {
    matches!(error.as_decoded_interface_error(), Some(CoveyLedgerErrors::StaleCall(_)))
}

fn revert_of(error: &alloy::contract::Error) -> Option<String> {
    let text = match error.as_decoded_interface_error::<CoveyLedgerErrors>()? {
        CoveyLedgerErrors::StaleCall(call) => {
            format!("the wallet made {} calls meanwhile", call.expected)
        }
        CoveyLedgerErrors::AlreadyMember(_) => "the wallet has a peer registered already".into(),
        CoveyLedgerErrors::NotMember(_) => "the wallet has no peer registered".into(),
        CoveyLedgerErrors::NotValidator(_) => "the wallet is no validator's".into(),
        CoveyLedgerErrors::AlreadySaid(_) => "the validator has spoken on that round before".into(),
        CoveyLedgerErrors::WrongStake(stake) => format!("the stake is {} wei", stake.expected),
        CoveyLedgerErrors::WrongGeneration(generation) => {
            format!("the next validators are {}", generation.expected)
        }
        CoveyLedgerErrors::BadValidators(_) => "those cannot be the validators".into(),
        CoveyLedgerErrors::BucketTooLong(_) => {
            "the bucket's address has more than 512 bytes".into()
        }
        CoveyLedgerErrors::NothingToWithdraw(_) => {
            "there is no stake to withdraw; leave first".into()
        }
        CoveyLedgerErrors::TooEarly(early) => {
            format!("the stake stays until {} s after 1970", early.until)
        }
        CoveyLedgerErrors::NotPaid(_) => "the wallet does not accept its stake".into(),
    };
    Some(text)
}
