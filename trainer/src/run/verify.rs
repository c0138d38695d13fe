//! Verification of a run by any reader: signatures, commitments, the Gauntlet's outcome, and, if
//! the deltas are still in the bucket, losses and weights.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use covey_comms::bucket::BucketError;
use covey_comms::gauntlet::Gauntlet;
use covey_comms::gauntlet::conduct::PeerTable;
use covey_comms::gauntlet::scoring::Evaluator;
use covey_comms::gauntlet::verdict::{Difference, Verdict};
use covey_comms::history::{LightClient, LightClientState};
use covey_comms::objects::{Exclusion, Manifest};
use covey_comms::participants::validator::{VerdictVerifier, VerifiedRound};
use covey_comms::primitives::{Digest, PeerId, Round};
use covey_comms::run::{CommsError, Run};
use covey_data::sampling::Assignment;

use super::replica::{Replica, check_weights};
use super::spec::RunSpec;
use super::sync::weights_at;
use crate::run::validator::{DeltaEvaluator, settings};
use crate::system::error::{Failure, Result};
use crate::training::learner::Learner;

/// Network and data that evaluate deltas.
#[derive(Debug)]
pub struct Instruments {
    /// Network for forward passes. Its weights are replaced before each use.
    pub reader: Learner,
    /// Assignment of windows to slots.
    pub assignment: Assignment,
}

/// How much of a round was recomputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Signatures, commitment lists, commitments, the round secret, and the outcome that follows
    /// from the observations.
    Documents,
    /// Losses and weights as well.
    Deltas,
}

/// Result of the verification of one round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundVerification {
    /// The round.
    pub round: Round,
    /// The validator that wrote the verdict, unless the manifest is unreadable.
    pub proposer: Option<PeerId>,
    /// The validators that signed the manifest.
    pub signers: Vec<PeerId>,
    /// How much was recomputed.
    pub depth: Depth,
    /// The first difference between recorded and recomputed values.
    pub difference: Option<Difference>,
}

/// Verifies a run from its first round, one round at a time.
#[derive(Debug)]
pub struct Verification {
    spec: RunSpec,
    light_client: LightClient,
    gauntlet: Gauntlet,
    /// Peer records before the next round; `None` if the verdict that contains them is unreadable.
    peer_table: Option<PeerTable>,
    /// Digest of the previous verdict.
    previous: Option<Digest>,
    checkpoints: BTreeSet<Round>,
    instruments: Option<Instruments>,
    /// The evaluator with the weights at the start of the next round, while they are known.
    evaluation: Option<DeltaEvaluator>,
    is_broken: bool,
}

impl Verification {
    /// Starts the verification of `run` at its first round. Without `instruments`, losses and
    /// weights are not recomputed.
    ///
    /// # Errors
    /// Errors of the bucket.
    pub async fn begin(run: Run, spec: RunSpec, instruments: Option<Instruments>) -> Result<Self> {
        let description = run.description();
        let gauntlet = Gauntlet::new(description.gauntlet.clone(), description.rules.max_included);
        // Listed once, because every page of a listing costs a request.
        let checkpoints = run.checkpoints().await?.into_iter().collect();
        let light_client = LightClient::genesis(run);
        Ok(Self {
            spec,
            light_client,
            gauntlet,
            checkpoints,
            instruments,
            peer_table: Some(PeerTable::default()),
            previous: None,
            evaluation: None,
            is_broken: false,
        })
    }

    /// The round that is verified next.
    pub fn next_round(&self) -> Round {
        self.light_client.next()
    }

    /// Skips a round without verifying it. `None` if it has not been decided yet.
    ///
    /// # Errors
    /// Errors of the bucket, or a broken history.
    pub async fn skip(&mut self) -> Result<Option<Round>> {
        // Skipped rounds move the weights too, and the next round is evaluated on them.
        self.take_weights().await?;
        let Some(manifest) = self.light_client.poll().await? else { return Ok(None) };
        let verdict = self.light_client.run().verdict_of(&manifest).await?;
        self.advance(&manifest, Some(&verdict)).await?;
        Ok(Some(manifest.round()))
    }

    /// Verifies the next round. `None` if it has not been decided yet.
    ///
    /// # Errors
    /// Errors of the bucket and of this machine. A wrong round is a result and not an error.
    pub async fn verify_next(&mut self) -> Result<Option<RoundVerification>> {
        // After an invalid manifest, there is no verified history to compare with.
        if self.is_broken {
            return Ok(None);
        }
        // Read before `poll`, which moves the client past the round.
        let (round, head, before) =
            (self.light_client.next(), self.light_client.head(), self.light_client.position());
        self.take_weights().await?;
        let manifest = match self.light_client.poll().await {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.is_broken = true;
                return Ok(Some(RoundVerification::unreadable(
                    round,
                    difference_of("manifest", error)?,
                )));
            }
        };
        let run = self.light_client.run().clone();
        let signers =
            run.certificate(round, Some(head)).await?.signatures().keys().copied().collect();
        let (verdict, verified) = self.verify_verdict(&run, &manifest, &before).await?;
        let difference = verified
            .difference
            .or_else(|| verdict.as_ref().and_then(|verdict| follows(&manifest, verdict)));
        self.advance(&manifest, verdict.as_ref()).await?;
        let depth = if verified.is_complete { Depth::Deltas } else { Depth::Documents };
        let proposer = Some(manifest.basis().proposer);
        Ok(Some(RoundVerification { round, proposer, signers, depth, difference }))
    }

    /// Verifies the verdict that `manifest` names; the verdict is `None` if it is unreadable.
    async fn verify_verdict(
        &mut self,
        run: &Run,
        manifest: &Manifest,
        before: &LightClientState,
    ) -> Result<(Option<Verdict>, VerifiedRound)> {
        let verdict = match run.verdict_of(manifest).await {
            Ok(verdict) => verdict,
            Err(error) => return Ok((None, incomplete(difference_of("verdict", error)?))),
        };
        let Some(peer_table) = &self.peer_table else {
            return Ok((Some(verdict), incomplete(without_previous())));
        };
        let verifier = VerdictVerifier {
            run,
            gauntlet: &self.gauntlet,
            last: before.last.as_ref(),
            before: peer_table,
            previous: self.previous,
            outer: Some(settings(&self.spec.config.sparseloco(), before.outer_steps)),
        };
        let evaluator = self.evaluation.as_mut().map(|evaluation| evaluation as &mut dyn Evaluator);
        let verified = verifier.of_manifest(manifest, &verdict, evaluator).await?;
        Ok((Some(verdict), verified))
    }

    /// Opens an evaluator on the weights of the next round if none is open and a checkpoint has
    /// them.
    async fn take_weights(&mut self) -> Result<()> {
        let round = self.light_client.next();
        if self.evaluation.is_some()
            || self.instruments.is_none()
            || !self.checkpoints.contains(&round)
        {
            return Ok(());
        }
        let Some(weights) = weights_at(&self.light_client, &self.spec).await? else {
            return Ok(());
        };
        let replica = Replica::new(weights, &self.spec.config.sparseloco())?;
        if let Some(Instruments { reader, assignment }) = self.instruments.take() {
            self.evaluation = Some(DeltaEvaluator::new(replica, reader, assignment));
        }
        Ok(())
    }

    /// Advances peer records and weights past a round.
    async fn advance(&mut self, manifest: &Manifest, verdict: Option<&Verdict>) -> Result<()> {
        self.previous = Some(manifest.basis().verdict);
        self.peer_table = verdict.map(|verdict| verdict.outcome.peer_table.clone());
        // Taken out first: if the round cannot be applied, these weights are outdated.
        let Some(mut evaluation) = self.evaluation.take() else { return Ok(()) };
        let deltas = match self.light_client.gather(manifest).await {
            Ok(deltas) => Some(deltas),
            // Retention removes old deltas, so this is normal for early rounds.
            Err(error) if is_without_deltas(&error) => None,
            Err(error) => return Err(error.into()),
        };
        if deltas.is_some_and(|deltas| apply(&mut evaluation, manifest, &deltas)) {
            self.evaluation = Some(evaluation);
        } else {
            // A later checkpoint may provide weights again.
            let (reader, assignment) = evaluation.into_instruments();
            self.instruments = Some(Instruments { reader, assignment });
        }
        Ok(())
    }
}

impl RoundVerification {
    fn unreadable(round: Round, difference: Difference) -> Self {
        let (proposer, signers) = (None, Vec::new());
        Self { round, proposer, signers, depth: Depth::Documents, difference: Some(difference) }
    }
}

fn incomplete(difference: Difference) -> VerifiedRound {
    VerifiedRound { difference: Some(difference), is_complete: false }
}

/// Without the previous peer records, the outcome of a round cannot be recomputed.
fn without_previous() -> Difference {
    let (expected, got) =
        ("the verdict of the previous round".into(), "an unreadable verdict".into());
    Difference { path: "previous".into(), expected, got }
}

/// Returns true if an included delta is missing, unreachable, or differs from its reference: the
/// weights of the round cannot be recomputed then, but no validator is wrong because of it.
fn is_without_deltas(error: &CommsError) -> bool {
    matches!(
        error,
        CommsError::DeltaGone { .. }
            | CommsError::BucketUnreachable { .. }
            | CommsError::CannotOpenBucket { .. }
            | CommsError::Envelope(_)
            | CommsError::WrongContent { .. }
            | CommsError::WrongLength { .. }
            | CommsError::Bucket(BucketError::TooLarge { .. })
    )
}

/// Applies a round, and returns true if the weights match the manifest.
fn apply(
    evaluation: &mut DeltaEvaluator,
    manifest: &Manifest,
    deltas: &BTreeMap<PeerId, Bytes>,
) -> bool {
    evaluation.apply(manifest, deltas).is_ok_and(|weights| check_weights(manifest, weights).is_ok())
}

/// Compares a manifest with the verdict that it names.
fn follows(manifest: &Manifest, verdict: &Verdict) -> Option<Difference> {
    let outcome = &verdict.outcome;
    if *manifest.included() != outcome.included {
        let (expected, got) = (short_names(&outcome.included), short_names(manifest.included()));
        return Some(Difference { path: "manifest.included".into(), expected, got });
    }
    if *manifest.excluded() != outcome.excluded {
        let (expected, got) = (with_reasons(&outcome.excluded), with_reasons(manifest.excluded()));
        return Some(Difference { path: "manifest.excluded".into(), expected, got });
    }
    if *manifest.outer() != verdict.inputs.outer {
        let (expected, got) =
            (format!("{:?}", verdict.inputs.outer), format!("{:?}", manifest.outer()));
        return Some(Difference { path: "manifest.outer".into(), expected, got });
    }
    if manifest.basis().weights != verdict.weights {
        let (expected, got) = (verdict.weights.to_string(), manifest.basis().weights.to_string());
        return Some(Difference { path: "manifest.weights".into(), expected, got });
    }
    None
}

fn short_names<T>(peers: &BTreeMap<PeerId, T>) -> String {
    peers.keys().map(PeerId::short).collect::<Vec<_>>().join(", ")
}

fn with_reasons(excluded: &BTreeMap<PeerId, Exclusion>) -> String {
    let peers = excluded.iter().map(|(peer, reason)| format!("{} {reason}", peer.short()));
    peers.collect::<Vec<_>>().join(", ")
}

/// Returns the difference that an invalid document causes, or the error if the bucket failed.
fn difference_of(path: &str, error: CommsError) -> Result<Difference> {
    let is_invalid_document = matches!(
        error,
        CommsError::Envelope(_)
            | CommsError::Manifest(_)
            | CommsError::Chain(_)
            | CommsError::Verdict { .. }
            | CommsError::WrongContent { .. }
            | CommsError::Bucket(BucketError::Missing { .. })
    );
    // An error of the bucket is not a difference: it ends the verification.
    if !is_invalid_document {
        return Err(error.into());
    }
    let got = format!("{:#}", Failure::from(error));
    Ok(Difference { path: path.into(), expected: "the signed document".into(), got })
}
