//! The ledger of a run, as this machine reaches it.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use covey_comms::ledger::backends::BucketLog;
use covey_comms::ledger::state::Genesis;
use covey_comms::ledger::{CheckpointDigest, Ledger, LedgerClient, LedgerError, Scores};
use covey_comms::primitives::{Clock, Keypair, PeerId};
use covey_comms::run::Run;
use futures_util::future::{Either, select};

use super::bucket::jitter_seed;
use crate::cli::LedgerFlags;
use crate::system::error::UsageError;

/// What holds the secret key of the account that pays for entries in a contract.
pub const WALLET_VARIABLE: &str = "COVEY_WALLET_KEY";

/// What the ledger of a run begins with, as the run's description says.
///
/// # Errors
/// Validators that cannot be, which a description is never accepted with.
pub fn genesis(run: &Run) -> anyhow::Result<Genesis> {
    let validator_set = &run.description().validator_set;
    let threshold =
        u32::try_from(validator_set.threshold()).context("a threshold beyond all numbers")?;
    Ok(Genesis::new(run.id(), validator_set.validators().clone(), threshold)?)
}

/// The ledger of `run` that `flags` name.
///
/// # Errors
/// An address that is none, a wallet that is none, a contract of another run, or what its keeper says.
pub async fn open(run: &Run, flags: &LedgerFlags) -> anyhow::Result<Arc<dyn Ledger>> {
    let genesis = genesis(run)?;
    match flags.ledger.as_deref().unwrap_or("bucket") {
        "bucket" => Ok(Arc::new(BucketLog::new(
            Arc::clone(run.bucket()),
            genesis,
            Arc::clone(run.clock()),
            jitter_seed()?,
        ))),
        url if url.starts_with("evm:") => evm::open(url, genesis, flags.wallet.as_deref()).await,
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
    use crate::system::error::UsageError;
    use covey_comms::ledger::Ledger;
    use covey_comms::ledger::backends::evm::{EvmLedger, Wallet};
    use covey_comms::ledger::state::Genesis;

    /// The wallet that pays, if there is one.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is none.
    pub fn wallet(file: Option<&Path>) -> anyhow::Result<Option<Wallet>> {
        Ok(wallet_key(file)?.map(|text| text.parse()).transpose()?)
    }

    pub(super) async fn open(
        url: &str,
        genesis: Genesis,
        file: Option<&Path>,
    ) -> anyhow::Result<Arc<dyn Ledger>> {
        Ok(Arc::new(contract(url, genesis, file).await?))
    }

    /// The ledger in the contract at `url`, with all that only contracts can.
    ///
    /// # Errors
    /// As for opening any ledger.
    pub async fn contract(
        url: &str,
        genesis: Genesis,
        file: Option<&Path>,
    ) -> anyhow::Result<EvmLedger> {
        let address =
            url.parse().map_err(|error| UsageError::new(format!("`--ledger`: {error}")))?;
        Ok(EvmLedger::open(address, genesis, wallet(file)?).await?)
    }
}

#[cfg(not(feature = "evm"))]
mod evm {
    use super::{Arc, Path};
    use crate::system::error::UsageError;
    use covey_comms::ledger::Ledger;
    use covey_comms::ledger::state::Genesis;

    pub(super) async fn open(
        _: &str,
        _: Genesis,
        _: Option<&Path>,
    ) -> anyhow::Result<Arc<dyn Ledger>> {
        let problem = UsageError::new("this build keeps no ledger in a contract");
        Err(problem.with_hint("build it with `cargo build --release --features evm`").into())
    }
}

/// Has a peer take part with deltas in the run's bucket or in the one at `bucket`; gives the entry's number if one was needed.
///
/// # Errors
/// A key that was given up, an address that holds keys, or what the ledger's keeper says.
pub async fn enter(
    registry: &mut LedgerClient,
    peer: &Keypair,
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

/// How often a validator looks for new entries while it closes a round: whoever registers before it says hello is known
/// to all validators by the time they judge the round.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Who takes part, kept up to date while rounds are closed.
#[derive(Debug)]
pub struct RegisteredPeers {
    registry: LedgerClient,
    members: Arc<RwLock<BTreeSet<PeerId>>>,
}

impl RegisteredPeers {
    /// The members by now.
    ///
    /// # Errors
    /// What the ledger's keeper says.
    pub async fn open(ledger: Arc<dyn Ledger>) -> Result<Self, LedgerError> {
        let mut membership = Self { registry: LedgerClient::new(ledger), members: Arc::default() };
        membership.refresh().await?;
        Ok(membership)
    }

    async fn refresh(&mut self) -> Result<(), LedgerError> {
        self.registry.refresh().await?;
        let members = self.registry.state().members().map(|(peer, _)| peer).collect();
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members;
        Ok(())
    }

    /// Tells of any peer whether it takes part, as of the last look.
    pub fn lookup(&self) -> Arc<dyn Fn(PeerId) -> bool + Send + Sync> {
        let members = Arc::clone(&self.members);
        Arc::new(move |peer| members.read().unwrap_or_else(PoisonError::into_inner).contains(&peer))
    }

    /// Plays `work` to its end and looks for new entries meanwhile.
    ///
    /// # Errors
    /// Those of `work`, or a ledger that is lost for good.
    pub async fn during<T>(
        &mut self,
        clock: &dyn Clock,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.refresh().await?;
        match select(pin!(work), pin!(self.keep_fresh(clock))).await {
            Either::Left((done, _)) => done,
            Either::Right((error, _)) => Err(error.into()),
        }
    }

    /// Ends only with an error that does not pass.
    async fn keep_fresh(&mut self, clock: &dyn Clock) -> LedgerError {
        loop {
            clock.sleep_until(clock.now() + LOOK_EVERY).await;
            match self.refresh().await {
                Err(error) if !error.is_passing() => return error,
                _ => {}
            }
        }
    }

    /// Names the verdict on a round, and the weights after it if they are kept, unless this validator has before it was
    /// killed.
    ///
    /// # Errors
    /// What the ledger's keeper says.
    pub async fn post(
        &mut self,
        validator: &Keypair,
        scores: Scores,
        checkpoint: Option<CheckpointDigest>,
    ) -> Result<(), LedgerError> {
        self.refresh().await?;
        if self.registry.state().scores().said(scores.round, validator.peer()) != Some(scores) {
            self.registry.post_scores(validator, scores).await?;
        }
        let said = |round| self.registry.state().checkpoints().said(round, validator.peer());
        match checkpoint {
            Some(checkpoint) if said(checkpoint.round) != Some(checkpoint) => {
                self.registry.post_checkpoint(validator, checkpoint).await.map(drop)
            }
            _ => Ok(()),
        }
    }
}
