//! The connection to a node, and the meaning of its errors.

use std::error::Error;
use std::time::Duration;

use alloy::network::{Ethereum, EthereumWallet};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use url::Url;

use super::abi::CoveyLedger::CoveyLedgerErrors;
use super::wallet::Wallet;
use crate::ledger::error::LedgerError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The time within which a chain must accept a call. It may accept it later, but the writer then
/// reports an error.
// 50 blocks of 12 s on Ethereum: a call with a sufficient fee is accepted long before.
pub(super) const ACCEPTANCE_TIMEOUT: Duration = Duration::from_secs(600);

/// The most characters of an error that a node or a library wrote.
const MAX_REASON: usize = 300;

/// The result of any exchange with a node. Errors of transport and of pending calls convert to it.
pub(super) type NodeResult<T> = Result<T, alloy::contract::Error>;

/// Connects to a node. With a wallet, the connection can send calls.
pub(super) fn connect(
    node: &Url,
    wallet: Option<&Wallet>,
) -> Result<DynProvider<Ethereum>, LedgerError> {
    // Fails if another part of the process installed one before; that is the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .build()
        .map_err(|error| {
            backend_error(node, "cannot create an HTTP client", false, Some(Box::new(error)))
        })?;
    // Without a cached nonce: a call that the contract refuses would leave a gap in the cached
    // sequence, and the chain would accept no later call.
    let builder = ProviderBuilder::new().with_simple_nonce_management();
    Ok(match wallet {
        Some(wallet) => builder
            .wallet(EthereumWallet::from(wallet.signer()))
            .connect_reqwest(client, node.clone())
            .erased(),
        None => builder.connect_reqwest(client, node.clone()).erased(),
    })
}

/// Names a node by its host. Path and query can contain an access key of the provider.
fn name(node: &Url) -> String {
    format!("the node {}", node.host_str().unwrap_or("?"))
}

pub(super) fn backend_error(
    node: &Url,
    reason: &str,
    is_passing: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
) -> LedgerError {
    LedgerError::Backend { backend: name(node), reason: reason.into(), is_passing, source }
}

/// Converts the error of any exchange with a node.
pub(super) fn answer<T>(
    node: &Url,
    result: Result<T, impl Into<alloy::contract::Error>>,
) -> Result<T, LedgerError> {
    result.map_err(|error| node_error(node, error.into()))
}

fn node_error(node: &Url, error: alloy::contract::Error) -> LedgerError {
    if let Some(reason) = revert_reason(&error) {
        return backend_error(node, &format!("the contract reverted: {reason}"), false, None);
    }
    match error {
        alloy::contract::Error::TransportError(error) => transport_error(node, error),
        // The call was sent. The chain can still accept it.
        alloy::contract::Error::PendingTransactionError(error) => {
            backend_error(node, &redacted(node, &error), true, None)
        }
        error => backend_error(node, &redacted(node, &error), false, None),
    }
}

fn transport_error(node: &Url, error: alloy::transports::TransportError) -> LedgerError {
    // An error in an answer is definite. Without an answer, the node may come back.
    match error.as_error_resp() {
        Some(answer) => backend_error(node, &answer.message, false, None),
        None => backend_error(node, &redacted(node, &error), true, None),
    }
}

/// The text of an error without the address of the node.
fn redacted(node: &Url, error: &dyn Error) -> String {
    let mut text = error.to_string().replace(node.as_str(), node.host_str().unwrap_or("?"));
    text.truncate(text.char_indices().nth(MAX_REASON).map_or(text.len(), |(end, _)| end));
    text
}

/// Returns true if another call of the same wallet used the number of this one.
pub(super) fn is_stale(error: &alloy::contract::Error) -> bool {
    matches!(error.as_decoded_interface_error(), Some(CoveyLedgerErrors::StaleCall(_)))
}

/// The reason of a revert by the contract, or `None` for any other error.
fn revert_reason(error: &alloy::contract::Error) -> Option<String> {
    let text = match error.as_decoded_interface_error::<CoveyLedgerErrors>()? {
        CoveyLedgerErrors::StaleCall(call) => {
            format!("the wallet has made {} calls already", call.expected)
        }
        CoveyLedgerErrors::AlreadyMember(_) => "the wallet already has a registered peer".into(),
        CoveyLedgerErrors::NotMember(_) => "the wallet has no registered peer".into(),
        CoveyLedgerErrors::NotValidator(_) => "the wallet does not belong to a validator".into(),
        CoveyLedgerErrors::AlreadySaid(_) => "the validator already posted on that round".into(),
        CoveyLedgerErrors::WrongStake(stake) => format!("the stake must be {} wei", stake.expected),
        CoveyLedgerErrors::WrongGeneration(generation) => {
            format!("the next generation of the validator set is {}", generation.expected)
        }
        CoveyLedgerErrors::BadValidators(_) => "the validator set is not valid".into(),
        CoveyLedgerErrors::BucketTooLong(_) => "the bucket URL has more than 512 bytes".into(),
        CoveyLedgerErrors::NothingToWithdraw(_) => {
            "there is no stake to withdraw; leave first".into()
        }
        CoveyLedgerErrors::TooEarly(early) => {
            format!("the stake is locked until {} s after 1970", early.until)
        }
        CoveyLedgerErrors::NotPaid(_) => "the wallet does not accept the payment".into(),
    };
    Some(text)
}
