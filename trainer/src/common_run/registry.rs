//! The ledger of a run, as this machine reaches it.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use covey_comms::ledger::{BucketLog, Charter, Ledger, LedgerError, Registry};
use covey_comms::{Identity, Run};

use super::connection::jitter_seed;
use crate::cli::LedgerFlags;
use crate::diagnostics::UsageError;

/// What holds the secret key of the account that pays for entries in a contract.
pub const WALLET_VARIABLE: &str = "COVEY_WALLET_KEY";

/// What the ledger of a run begins with, as the run's description says.
///
/// # Errors
/// Validators that cannot be, which a description is never accepted with.
pub fn charter(run: &Run) -> anyhow::Result<Charter> {
    let quorum = &run.description().quorum;
    Ok(Charter::new(run.id(), quorum.validators().clone(), quorum.threshold())?)
}

/// The ledger of `run` that `flags` name.
///
/// # Errors
/// An address that is none, a wallet that is none, a contract of another run, or what its keeper says.
pub async fn open(run: &Run, flags: &LedgerFlags) -> anyhow::Result<Arc<dyn Ledger>> {
    let charter = charter(run)?;
    match flags.ledger.as_str() {
        "bucket" => {
            Ok(Arc::new(BucketLog::new(Arc::clone(run.bucket()), charter, Arc::clone(run.clock()), jitter_seed()?)))
        }
        url if url.starts_with("evm:") => evm::open(url, charter, flags.wallet.as_deref()).await,
        // Not repeated: it may be an address with a key in it.
        _ => {
            let problem = UsageError::new("`--ledger` names no keeper of a ledger");
            Err(problem.with_hint("write `bucket`, or evm:http://HOST:PORT/?contract=0x…").into())
        }
    }
}

/// The secret key of the account that pays, if there is one.
///
/// # Errors
/// A file that cannot be read.
pub fn wallet_key(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Some(text))
        }
        None => Ok(std::env::var(WALLET_VARIABLE).ok()),
    }
}

#[cfg(feature = "evm")]
pub mod evm {
    //! Ledgers in contracts.

    use super::{Arc, Charter, Ledger, Path, UsageError, wallet_key};
    use covey_comms::ledger::evm::{EvmLedger, Wallet};

    /// The wallet that pays, if there is one.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is none.
    pub fn wallet(file: Option<&Path>) -> anyhow::Result<Option<Wallet>> {
        Ok(wallet_key(file)?.map(|text| text.parse()).transpose()?)
    }

    pub(super) async fn open(url: &str, charter: Charter, file: Option<&Path>) -> anyhow::Result<Arc<dyn Ledger>> {
        Ok(Arc::new(contract(url, charter, file).await?))
    }

    /// The ledger in the contract at `url`, with all that only contracts can.
    ///
    /// # Errors
    /// As for opening any ledger.
    pub async fn contract(url: &str, charter: Charter, file: Option<&Path>) -> anyhow::Result<EvmLedger> {
        let address = url.parse().map_err(|error| UsageError::new(format!("`--ledger`: {error}")))?;
        Ok(EvmLedger::open(address, charter, wallet(file)?).await?)
    }
}

#[cfg(not(feature = "evm"))]
mod evm {
    use super::{Arc, Charter, Ledger, Path, UsageError};

    pub(super) async fn open(_: &str, _: Charter, _: Option<&Path>) -> anyhow::Result<Arc<dyn Ledger>> {
        let problem = UsageError::new("this build keeps no ledger in a contract");
        Err(problem.with_hint("build it with `cargo build --release --features evm`").into())
    }
}

/// Has a peer take part with deltas in the run's bucket or in the one at `bucket`; gives the entry's number if one was needed.
///
/// # Errors
/// A key that was given up, an address that holds keys, or what the ledger's keeper says.
pub async fn enter(
    registry: &mut Registry,
    peer: &Identity,
    bucket: Option<String>,
) -> Result<Option<u64>, LedgerError> {
    registry.refresh().await?;
    let announced = registry.state().peers().get(&peer.peer()).map(|record| record.bucket.clone());
    match announced.filter(|_| registry.state().is_member(peer.peer())) {
        None => registry.register(peer, bucket).await.map(Some),
        Some(announced) if announced == bucket => Ok(None),
        Some(_) => registry.announce(peer, bucket).await.map(Some),
    }
}
