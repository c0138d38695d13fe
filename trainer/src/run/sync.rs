//! Where a machine stands in a run: a verified history, and the weights that follow from it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use covey_comms::history::LightClient;
use covey_comms::objects::CheckpointDescription;
use covey_comms::primitives::Round;
use covey_comms::run::{CommsError, Run};

use super::replica::Replica;
use super::spec::RunSpec;
use super::weight_files::from_parts;
use crate::training::checkpoint::{NamedTensor, weights_digest};

/// How often, and how far apart, the newest checkpoint is looked for: listings of some stores are late.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// A replica together with the history that it has followed.
#[derive(Debug)]
pub struct SyncedState {
    /// The verified history.
    pub light_client: LightClient,
    /// The weights that it led to.
    pub replica: Replica,
}

impl SyncedState {
    /// Joins a run: the newest checkpoint of the bucket, held to the history from genesis on.
    ///
    /// # Errors
    /// A history that breaks, a checkpoint that does not belong to it, or a bucket that fails.
    pub async fn enter(run: &Run, spec: &RunSpec) -> anyhow::Result<Self> {
        let mut light_client = LightClient::genesis(run.clone());
        let weights = newest_checkpoint(&mut light_client, spec).await?;
        let weights = weights.context("the run has no checkpoint, not even of its beginning")?;
        let replica = Replica::new(weights, &spec.config.sparseloco())?;
        Ok(Self { light_client, replica })
    }
}

/// The weights of the newest checkpoint that is not behind `light_client`, which is taken there, manifest by manifest;
/// nothing if all checkpoints are behind it.
///
/// # Errors
/// A history that breaks, or a checkpoint that does not belong to it.
pub async fn newest_checkpoint(
    light_client: &mut LightClient,
    spec: &RunSpec,
) -> anyhow::Result<Option<Vec<NamedTensor>>> {
    let clock = Arc::clone(light_client.run().clock());
    for _ in 0..LOOKS {
        match look(light_client, spec).await {
            Ok(Some(weights)) => return Ok(Some(weights)),
            Ok(None) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
        clock.sleep_until(clock.now() + BETWEEN_LOOKS).await;
    }
    Ok(None)
}

/// Takes `light_client` to the newest checkpoint in the listing that belongs to its history, if it is not behind it.
///
/// One validator alone writes a checkpoint, and it may lie: others before it may still be good.
async fn look(
    light_client: &mut LightClient,
    spec: &RunSpec,
) -> anyhow::Result<Option<Vec<NamedTensor>>> {
    let rounds = light_client.run().checkpoints().await?;
    let mut first_rejection = None;
    for round in rounds.into_iter().rev().filter(|round| *round >= light_client.next()) {
        let mut scout = light_client.clone();
        let description = scout.run().checkpoint(round).await?;
        walk(&mut scout, round).await?;
        match check_history(&description, &scout) {
            Ok(()) => {
                *light_client = scout;
                return weights(light_client.run(), &description, spec).await.map(Some);
            }
            Err(rejection) => first_rejection = first_rejection.or(Some(rejection)),
        }
    }
    first_rejection.map_or(Ok(None), Err)
}

/// The weights where `light_client` stands, from the checkpoint of that very round; nothing if it is gone, or is none that
/// belongs there.
///
/// # Errors
/// What the bucket says.
pub(super) async fn weights_at(
    light_client: &LightClient,
    spec: &RunSpec,
) -> anyhow::Result<Option<Vec<NamedTensor>>> {
    let description = match light_client.run().checkpoint(light_client.next()).await {
        Ok(description) => description,
        Err(
            CommsError::CheckpointGone { .. } | CommsError::Envelope(_) | CommsError::Checkpoint(_),
        ) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    match check_history(&description, light_client) {
        Ok(()) => weights(light_client.run(), &description, spec).await.map(Some),
        Err(_) => Ok(None),
    }
}

/// Whether newer checkpoints have taken the place of the one that was listed.
fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(CommsError::CheckpointGone { .. }))
}

async fn weights(
    run: &Run,
    description: &CheckpointDescription,
    spec: &RunSpec,
) -> anyhow::Result<Vec<NamedTensor>> {
    let mut parts = Vec::new();
    for part in &description.parts {
        parts.push(run.checkpoint_part(description.round, part).await?);
    }
    let weights = from_parts(&spec.model, &parts)?;
    let got = weights_digest(&weights).to_string();
    anyhow::ensure!(
        got == description.weights.to_string(),
        "the checkpoint of {} holds weights {got}, not {}",
        description.round,
        description.weights
    );
    Ok(weights)
}

/// Follows the manifests up to the start of `round`, without applying them.
async fn walk(light_client: &mut LightClient, round: Round) -> anyhow::Result<()> {
    while light_client.next() < round {
        let next = light_client.next();
        let manifest = light_client.poll().await?;
        manifest.with_context(|| {
            format!("there is a checkpoint of {round}, but no manifest of {next}")
        })?;
    }
    Ok(())
}

fn check_history(
    description: &CheckpointDescription,
    light_client: &LightClient,
) -> anyhow::Result<()> {
    let round = description.round;
    anyhow::ensure!(
        description.lineage == light_client.head(),
        "the checkpoint of {round} has lineage {}, the manifests lead to {}",
        description.lineage,
        light_client.head()
    );
    anyhow::ensure!(
        description.outer_steps == light_client.outer_steps(),
        "the checkpoint of {round} counts {} outer steps, the manifests {}",
        description.outer_steps,
        light_client.outer_steps()
    );
    let expected = match light_client.last() {
        Some(manifest) => manifest.basis().weights,
        None => light_client.run().description().genesis_weights,
    };
    anyhow::ensure!(
        description.weights == expected,
        "the checkpoint of {round} holds weights {}, the manifests lead to {expected}",
        description.weights
    );
    Ok(())
}
