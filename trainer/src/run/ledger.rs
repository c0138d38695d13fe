//! Access to the ledger of a run from this machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use covey_comms::ledger::backends::BucketLog;
use covey_comms::ledger::state::Genesis;
use covey_comms::ledger::{CheckpointDigest, Ledger, LedgerClient, LedgerError, Scores};
use covey_comms::primitives::{Clock, Keypair, PeerId};
use covey_comms::run::Run;
use futures_util::future::{Either, select};

use super::bucket::jitter_seed;
use crate::system::error::{Context, Result, UsageError};

/// The ledger that a command uses: its backend, and the account that pays for entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerChoice {
    /// `bucket`, or the URL of a contract; `None` for the bucket of the run.
    pub url: Option<String>,
    /// Key file of the paying account; `None` for [`WALLET_VARIABLE`].
    pub wallet: Option<PathBuf>,
}

/// Environment variable with the secret key of the account that pays for entries in a contract.
pub const WALLET_VARIABLE: &str = "COVEY_WALLET_KEY";

/// Returns the genesis config of a run's ledger, taken from the run description.
///
/// # Errors
/// An invalid validator set. Run descriptions with such a set are never accepted.
pub fn genesis(run: &Run) -> Result<Genesis> {
    let validator_set = &run.description().validator_set;
    let threshold =
        u32::try_from(validator_set.threshold()).context("the threshold exceeds 32 bits")?;
    Ok(Genesis::new(run.id(), validator_set.validators().clone(), threshold)?)
}

/// Opens the ledger of `run` that `choice` names.
///
/// # Errors
/// An invalid URL or wallet, a contract of another run, or errors of the ledger backend.
pub async fn open(run: &Run, choice: &LedgerChoice) -> Result<Arc<dyn Ledger>> {
    let genesis = genesis(run)?;
    match choice.url.as_deref().unwrap_or("bucket") {
        "bucket" => Ok(Arc::new(BucketLog::new(
            Arc::clone(run.bucket()),
            genesis,
            Arc::clone(run.clock()),
            jitter_seed()?,
        ))),
        url if url.starts_with("evm:") => evm::open(url, genesis, choice.wallet.as_deref()).await,
        // The text is not repeated: it may be an address with a key in it.
        _ => {
            let problem = UsageError::new("`--ledger` is not a ledger backend");
            Err(problem.with_hint("write `bucket`, or evm:http://HOST:PORT/?contract=0x…").into())
        }
    }
}

/// Returns the secret key of the paying account, from `file` or from [`WALLET_VARIABLE`].
///
/// # Errors
/// A file that cannot be read.
pub fn wallet_key(file: Option<&Path>) -> Result<Option<String>> {
    match file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Some(text))
        }
        None => Ok(std::env::var(WALLET_VARIABLE).ok()),
    }
}

#[cfg(feature = "evm")]
pub mod evm {
    //! Ledgers in contracts.

    use super::{Arc, Path, wallet_key};
    use crate::system::error::{Result, UsageError};
    use covey_comms::ledger::Ledger;
    use covey_comms::ledger::backends::evm::{EvmLedger, Wallet};
    use covey_comms::ledger::state::Genesis;

    /// Returns the wallet that pays, if one is configured.
    ///
    /// # Errors
    /// A file that cannot be read, or an invalid key.
    pub fn wallet(file: Option<&Path>) -> Result<Option<Wallet>> {
        Ok(wallet_key(file)?.map(|text| text.parse()).transpose()?)
    }

    pub(super) async fn open(
        url: &str,
        genesis: Genesis,
        file: Option<&Path>,
    ) -> Result<Arc<dyn Ledger>> {
        Ok(Arc::new(contract(url, genesis, file).await?))
    }

    /// Opens the ledger in the contract at `url`, with the operations that only contracts have.
    ///
    /// # Errors
    /// As for [`super::open`].
    pub async fn contract(url: &str, genesis: Genesis, file: Option<&Path>) -> Result<EvmLedger> {
        let address =
            url.parse().map_err(|error| UsageError::new(format!("`--ledger`: {error}")))?;
        Ok(EvmLedger::open(address, genesis, wallet(file)?).await?)
    }
}

#[cfg(not(feature = "evm"))]
mod evm {
    use super::{Arc, Path};
    use crate::system::error::{Result, UsageError};
    use covey_comms::ledger::Ledger;
    use covey_comms::ledger::state::Genesis;

    pub(super) async fn open(_: &str, _: Genesis, _: Option<&Path>) -> Result<Arc<dyn Ledger>> {
        let problem = UsageError::new("this build does not support ledgers in contracts");
        Err(problem.with_hint("build it with `cargo build --release --features evm`").into())
    }
}

/// Registers a peer, or updates the URL of its bucket; `None` for `bucket` means the bucket of the
/// run. Returns the number of the new entry, or `None` if the ledger is up to date already.
///
/// # Errors
/// A key that was replaced, a URL that contains credentials, or errors of the ledger backend.
pub async fn ensure_registered(
    registry: &mut LedgerClient,
    peer: &Keypair,
    bucket: Option<String>,
) -> Result<Option<u64>, LedgerError> {
    // An entry that changes nothing would cost gas in a contract, so the state comes first.
    registry.refresh().await?;
    let announced = registry.state().peers().get(&peer.peer()).map(|record| record.bucket.clone());
    match announced.filter(|_| registry.state().is_registered(peer.peer())) {
        None => registry.register(peer, bucket).await.map(Some),
        Some(announced) if announced == bucket => Ok(None),
        Some(_) => registry.announce(peer, bucket).await.map(Some),
    }
}

/// Time between two refreshes while a validator closes a round. Two seconds are short against any
/// commit deadline, so all validators know a peer that registers before it publishes its join
/// request.
const REFRESH_INTERVAL: Duration = Duration::from_secs(2);

/// The registered peers, refreshed while rounds are closed.
#[derive(Debug)]
pub struct RegisteredPeers {
    registry: LedgerClient,
    members: Arc<RwLock<BTreeSet<PeerId>>>,
}

impl RegisteredPeers {
    /// Reads the registered peers from `ledger`.
    ///
    /// # Errors
    /// Errors of the ledger backend.
    pub async fn open(ledger: Arc<dyn Ledger>) -> Result<Self, LedgerError> {
        let mut registered = Self { registry: LedgerClient::new(ledger), members: Arc::default() };
        registered.refresh().await?;
        Ok(registered)
    }

    async fn refresh(&mut self) -> Result<(), LedgerError> {
        self.registry.refresh().await?;
        let members = self.registry.state().registered().map(|(peer, _)| peer).collect();
        // The set is replaced as a whole, so it is valid even if a reader panicked.
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members;
        Ok(())
    }

    /// Returns a function that is true for peers that were registered at the last refresh.
    pub fn lookup(&self) -> Arc<dyn Fn(PeerId) -> bool + Send + Sync> {
        let members = Arc::clone(&self.members);
        Arc::new(move |peer| members.read().unwrap_or_else(PoisonError::into_inner).contains(&peer))
    }

    /// Runs `work` to its end, and refreshes the registered peers meanwhile.
    ///
    /// # Errors
    /// Errors of `work`, and permanent errors of the ledger.
    pub async fn during<T>(
        &mut self,
        clock: &dyn Clock,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // The list is fresh before the round starts, so a peer that registered earlier is known.
        self.refresh().await?;
        match select(pin!(work), pin!(self.keep_fresh(clock))).await {
            Either::Left((done, _)) => done,
            Either::Right((error, _)) => Err(error.into()),
        }
    }

    /// Refreshes until a permanent error occurs, and returns it.
    async fn keep_fresh(&mut self, clock: &dyn Clock) -> LedgerError {
        loop {
            clock.sleep_until(clock.now() + REFRESH_INTERVAL).await;
            match self.refresh().await {
                // Temporary errors are ignored: the list stays usable, and the next refresh follows
                // soon.
                Err(error) if !error.is_passing() => return error,
                _ => {}
            }
        }
    }

    /// Posts the digests of a verdict and, if it is kept, of the checkpoint after it. Entries that
    /// this validator posted before a restart are not repeated.
    ///
    /// # Errors
    /// Errors of the ledger backend.
    pub async fn post(
        &mut self,
        validator: &Keypair,
        scores: Scores,
        checkpoint: Option<CheckpointDigest>,
    ) -> Result<(), LedgerError> {
        self.refresh().await?;
        // A validator repeats the last round after a restart, and each entry in a contract costs
        // gas.
        if self.registry.state().scores().posted(scores.round, validator.peer()) != Some(scores) {
            self.registry.post_scores(validator, scores).await?;
        }
        let Some(checkpoint) = checkpoint else { return Ok(()) };
        let posted = self.registry.state().checkpoints().posted(checkpoint.round, validator.peer());
        if posted != Some(checkpoint) {
            self.registry.post_checkpoint(validator, checkpoint).await?;
        }
        Ok(())
    }
}
