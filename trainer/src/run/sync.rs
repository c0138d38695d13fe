//! Sync: the verified history of a run, and the weights that follow from it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use covey_comms::history::LightClient;
use covey_comms::objects::CheckpointDescription;
use covey_comms::primitives::Round;
use covey_comms::run::{Fetched, Run};

use super::replica::Replica;
use super::spec::RunSpec;
use super::weight_files::from_parts;
use crate::system::error::{Context, Failure, Result};
use crate::training::checkpoint::{NamedTensor, weights_digest};

/// Number of attempts to find the newest checkpoint, and the time between two. The listings of some
/// stores lag behind their objects by a few seconds.
const ATTEMPTS: u32 = 5;
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(2);

/// A replica and the history that leads to its weights.
#[derive(Debug)]
pub struct SyncedState {
    /// The verified history.
    pub light_client: LightClient,
    /// The weights after it.
    pub replica: Replica,
}

impl SyncedState {
    /// Downloads the newest checkpoint of the bucket, and verifies it against the history from
    /// genesis.
    ///
    /// # Errors
    /// A broken history, a checkpoint that does not match it, or errors of the bucket.
    pub async fn enter(run: &Run, spec: &RunSpec) -> Result<Self> {
        let mut light_client = LightClient::genesis(run.clone());
        let weights = newest_checkpoint(&mut light_client, spec).await?;
        let weights = weights.context("the bucket has no checkpoint of the run")?;
        let replica = Replica::new(weights, &spec.config.sparseloco())?;
        Ok(Self { light_client, replica })
    }
}

/// Returns the weights of the newest checkpoint that is not older than the position of
/// `light_client`, and moves `light_client` there, manifest by manifest. `None` if all checkpoints
/// are older.
///
/// # Errors
/// A broken history, or a checkpoint that does not match it.
pub async fn newest_checkpoint(
    light_client: &mut LightClient,
    spec: &RunSpec,
) -> Result<Option<Vec<NamedTensor>>> {
    let clock = Arc::clone(light_client.run().clock());
    for _ in 0..ATTEMPTS {
        match latest_valid(light_client, spec).await {
            Ok(Some(weights)) => return Ok(Some(weights)),
            Ok(None) => {}
            Err(error) => return Err(error),
        }
        clock.sleep_until(clock.now() + ATTEMPT_INTERVAL).await;
    }
    Ok(None)
}

/// Moves `light_client` to the latest listed checkpoint that matches its history and is not older
/// than its position, and returns the weights.
///
/// A single validator writes a checkpoint, and it may be dishonest or damaged. An invalid
/// checkpoint is skipped in favour of an earlier one, and is an error only if no checkpoint is
/// valid. `None` if every checkpoint is older than the position, or was removed since the listing.
async fn latest_valid(
    light_client: &mut LightClient,
    spec: &RunSpec,
) -> Result<Option<Vec<NamedTensor>>> {
    let rounds = light_client.run().checkpoints().await?;
    let mut first_rejection = None;
    for round in rounds.into_iter().rev().filter(|round| *round >= light_client.next()) {
        // A copy: `light_client` must not move if the checkpoint is invalid.
        let mut ahead = light_client.clone();
        let rejection = match Fetched::from(ahead.run().checkpoint(round).await) {
            Fetched::Valid(description) => {
                follow_to(&mut ahead, round).await?;
                match read_weights(&ahead, &description, spec).await? {
                    Ok(Some(weights)) => {
                        *light_client = ahead;
                        return Ok(Some(weights));
                    }
                    Ok(None) => return Ok(None),
                    Err(rejection) => rejection,
                }
            }
            // Retention removed it, so a newer one exists: the caller lists again.
            Fetched::Absent => return Ok(None),
            Fetched::Invalid(error) => error.into(),
            Fetched::Unreachable(error) => return Err(error.into()),
        };
        tracing::warn!(%round, %rejection, "passing over an invalid checkpoint");
        // The newest checkpoint is the one that a peer should use, so its error is reported.
        first_rejection.get_or_insert(rejection);
    }
    first_rejection.map_or(Ok(None), Err)
}

/// Returns the weights at the position of `light_client`, from the checkpoint of that round. `None`
/// if the checkpoint is missing or invalid.
///
/// # Errors
/// Errors of the bucket.
pub(super) async fn weights_at(
    light_client: &LightClient,
    spec: &RunSpec,
) -> Result<Option<Vec<NamedTensor>>> {
    let fetched = light_client.run().checkpoint(light_client.next()).await;
    match Fetched::from(fetched).into_option()? {
        Some(description) => {
            Ok(read_weights(light_client, &description, spec).await?.unwrap_or_default())
        }
        None => Ok(None),
    }
}

/// The outcome of reading a checkpoint: its weights, `None` if a part was removed since the
/// listing, or the reason of the rejection.
type WeightsRead = Result<Option<Vec<NamedTensor>>, Failure>;

/// Downloads the weights that `description` names and checks them against the history of
/// `light_client`.
async fn read_weights(
    light_client: &LightClient,
    description: &CheckpointDescription,
    spec: &RunSpec,
) -> Result<WeightsRead> {
    // Checked before the parts, which may be gigabytes.
    if let Err(rejection) = check_history(description, light_client) {
        return Ok(Err(rejection));
    }
    let mut parts = Vec::new();
    for part in &description.parts {
        let fetched = light_client.run().checkpoint_part(description.round, part).await;
        match Fetched::from(fetched) {
            Fetched::Valid(bytes) => parts.push(bytes),
            Fetched::Absent => return Ok(Ok(None)),
            Fetched::Invalid(error) => return Ok(Err(error.into())),
            Fetched::Unreachable(error) => return Err(error.into()),
        }
    }
    Ok(check_weights(description, &parts, spec).map(Some))
}

fn check_weights(
    description: &CheckpointDescription,
    parts: &[Bytes],
    spec: &RunSpec,
) -> Result<Vec<NamedTensor>> {
    let weights = from_parts(&spec.model, parts)?;
    let got = weights_digest(&weights).to_string();
    if got != description.weights.to_string() {
        return Err(Failure::new(format!(
            "the checkpoint of {} has weights {got}, expected {}",
            description.round, description.weights
        )));
    }
    Ok(weights)
}

/// Follows the manifests up to the start of `round` without applying them.
async fn follow_to(light_client: &mut LightClient, round: Round) -> Result<()> {
    while light_client.next() < round {
        let next = light_client.next();
        let manifest = light_client.poll().await?;
        manifest.with_context(|| {
            format!("there is a checkpoint of {round}, but no manifest of {next}")
        })?;
    }
    Ok(())
}

fn check_history(description: &CheckpointDescription, light_client: &LightClient) -> Result<()> {
    let round = description.round;
    if description.lineage != light_client.head() {
        return Err(Failure::new(format!(
            "the checkpoint of {round} has lineage {}, the manifests lead to {}",
            description.lineage,
            light_client.head()
        )));
    }
    if description.outer_steps != light_client.outer_steps() {
        return Err(Failure::new(format!(
            "the checkpoint of {round} counts {} outer steps, the manifests {}",
            description.outer_steps,
            light_client.outer_steps()
        )));
    }
    let expected = match light_client.last() {
        Some(manifest) => manifest.basis().weights,
        None => light_client.run().description().genesis_weights,
    };
    if description.weights != expected {
        return Err(Failure::new(format!(
            "the checkpoint of {round} has weights {}, the manifests lead to {expected}",
            description.weights
        )));
    }
    Ok(())
}
