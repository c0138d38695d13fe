//! Fetching, checking, comparing and measuring the deltas of a round.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::stream::{StreamExt, iter};

use crate::agreement::commitments::CommitmentLists;
use crate::agreement::draw::Seed;
use crate::bucket::BucketError;
use crate::gauntlet::checks::{SimilarPair, Sketch};
use crate::gauntlet::conduct::PeerTable;
use crate::gauntlet::scoring::{Age, EvaluationRequest, Evaluator, Measurement};
use crate::gauntlet::{Gauntlet, Shortlist};
use crate::membership::Slot;
use crate::objects::envelope::{Author, Envelope, Expectation, Kind};
use crate::objects::{DeltaRef, Exclusion, Lineage, OuterSettings};
use crate::primitives::{PeerId, Round};
use crate::run::{CONCURRENCY, CommsError, Fetched, Run};

/// The deltas of a round that were fetched: the payload with its reference, or the reason why it is
/// excluded.
pub(super) type FetchedDeltas = BTreeMap<PeerId, Result<(DeltaRef, Bytes), Exclusion>>;

/// Fetches the deltas of `wanted` that are not in `fetched` yet, and returns the peers with a delta
/// that is absent or lies in an own bucket that does not answer.
///
/// # Errors
/// An outage of the run's bucket: no peer is responsible for it, so the caller tries again.
pub(super) async fn fetch_deltas(
    run: &Run,
    (round, base): (Round, Lineage),
    wanted: &BTreeMap<PeerId, DeltaRef>,
    fetched: &mut FetchedDeltas,
) -> Result<BTreeSet<PeerId>, CommsError> {
    let fetches: Vec<_> = wanted
        .iter()
        .filter(|(peer, _)| !fetched.contains_key(peer))
        .map(|(peer, committed)| async move {
            (*peer, open_delta(run, (round, base), *peer, *committed).await)
        })
        .collect();
    let outcomes: Vec<_> = iter(fetches).buffered(CONCURRENCY).collect().await;
    let mut undelivered = BTreeSet::new();
    for (peer, outcome) in outcomes {
        let delta = match Fetched::from(outcome) {
            Fetched::Valid(payload) => Ok((wanted[&peer], payload)),
            Fetched::Invalid(error) => Err(exclusion_for(&error)),
            Fetched::Absent => {
                undelivered.insert(peer);
                continue;
            }
            Fetched::Unreachable(error) if error.is_outage_of_peer_bucket() => {
                undelivered.insert(peer);
                continue;
            }
            Fetched::Unreachable(error) => return Err(error),
        };
        fetched.insert(peer, delta);
    }
    Ok(undelivered)
}

/// The deltas of an earlier round, or `None` if one was removed since or lies in an own bucket that
/// does not answer: comparing with the previous round needs all of its deltas.
///
/// # Errors
/// An invalid delta, which the manifest of its round rules out, or an outage of the run's bucket.
pub(super) fn delivered_again(
    gathered: Result<BTreeMap<PeerId, Bytes>, CommsError>,
) -> Result<Option<BTreeMap<PeerId, Bytes>>, CommsError> {
    match Fetched::from(gathered) {
        Fetched::Valid(deltas) => Ok(Some(deltas)),
        Fetched::Absent => Ok(None),
        Fetched::Unreachable(error) if error.is_outage_of_peer_bucket() => Ok(None),
        Fetched::Invalid(error) | Fetched::Unreachable(error) => Err(error),
    }
}

/// The reason for which a delta with this error is excluded.
fn exclusion_for(error: &CommsError) -> Exclusion {
    match error {
        CommsError::Envelope(error) => Exclusion::from(error),
        CommsError::Bucket(BucketError::TooLarge { .. }) => Exclusion::TooLarge,
        _ => Exclusion::Mismatched,
    }
}

/// Fetches the delta of `peer` and checks it against its commitment.
async fn open_delta(
    run: &Run,
    (round, base): (Round, Lineage),
    peer: PeerId,
    committed: DeltaRef,
) -> Result<Bytes, CommsError> {
    let expectation = Expectation {
        run: run.id(),
        kind: Kind::Delta,
        round: Some(round),
        base: Some(base),
        author: Author::Is(peer),
        max_payload: run.description().rules.max_delta,
    };
    let limit = expectation.max_object();
    let envelope = run
        .fetch_delta_soon(round, peer, committed.length.min(limit), limit, |object| {
            Ok(Envelope::open(&object, &expectation)?)
        })
        .await?;
    let what = || format!("the delta of {}", peer.short());
    let payload = envelope.payload();
    // The length is part of the reference that the manifest repeats, and readers check it. A delta
    // with the committed digest and another length would be accepted here and stop every reader.
    let length = payload.len() as u64;
    if length != committed.length {
        let expected = committed.length;
        return Err(CommsError::WrongLength { what: what(), expected, got: length });
    }
    let digest = envelope.header().payload_digest;
    if digest != committed.digest {
        let expected = committed.digest;
        return Err(CommsError::WrongContent { what: what(), expected, got: digest });
    }
    Ok(payload.clone())
}

/// The results of evaluating the shortlisted deltas.
#[derive(Clone, Debug, Default)]
pub(super) struct EvaluationResults {
    pub(super) refused: BTreeMap<PeerId, Exclusion>,
    pub(super) admitted: BTreeSet<PeerId>,
    pub(super) earlier: BTreeSet<PeerId>,
    pub(super) overlaps: Vec<SimilarPair>,
}

/// Reads the deltas with `evaluator` and compares their norms and their sketches, with each other
/// and with those of the previous round.
pub(super) fn evaluate(
    (gauntlet, peer_table): (&Gauntlet, &PeerTable),
    evaluator: &mut dyn Evaluator,
    (fetched, shortlist): (&FetchedDeltas, &Shortlist),
    earlier: &BTreeMap<PeerId, Bytes>,
    (seed, commitment_lists): (&Seed, &CommitmentLists),
) -> EvaluationResults {
    evaluator.clear();
    let mut findings = EvaluationResults::default();
    for peer in shortlist.peers() {
        let outcome = match fetched.get(&peer) {
            Some(Ok((_, payload))) => evaluator.admit(Age::Current, peer, payload),
            Some(Err(reason)) => Err(*reason),
            None => continue,
        };
        if let Err(reason) = outcome {
            findings.refused.insert(peer, reason);
        } else {
            findings.admitted.insert(peer);
        }
    }
    let norms = findings
        .admitted
        .iter()
        .filter_map(|peer| Some((*peer, evaluator.norm(Age::Current, *peer)?)))
        .collect();
    // Norms are compared before any loss is measured: an enormous delta would dominate the typical
    // delta that all others are compared with.
    for peer in gauntlet.outsized(peer_table, &norms) {
        findings.admitted.remove(&peer);
        findings.refused.insert(peer, Exclusion::Outsized);
    }
    // Deltas of the previous round are sketched as well: a copy may be one round late.
    for (peer, payload) in earlier {
        if evaluator.admit(Age::Previous, *peer, payload).is_ok() {
            findings.earlier.insert(*peer);
        }
    }
    let sketches = |age, peers: &BTreeSet<PeerId>| -> BTreeMap<PeerId, Sketch> {
        peers.iter().filter_map(|peer| Some((*peer, evaluator.sketch(age, *peer, seed)?))).collect()
    };
    let current = sketches(Age::Current, &findings.admitted);
    let previous = sketches(Age::Previous, &findings.earlier);
    findings.overlaps =
        gauntlet.overlaps(&current, &previous, |one, other| commitment_lists.first(one, other));
    findings
}

/// Measures the deltas of the shortlist that are to be evaluated.
pub(super) fn measure(
    gauntlet: &Gauntlet,
    evaluator: &mut dyn Evaluator,
    (shortlist, findings): (&Shortlist, &EvaluationResults),
    slots: &BTreeMap<PeerId, Slot>,
    (round, outer, seed): (Round, &OuterSettings, &Seed),
) -> Result<BTreeMap<PeerId, Measurement>, CommsError> {
    let evaluated: BTreeMap<PeerId, Slot> = shortlist
        .evaluated
        .intersection(&findings.admitted)
        .filter_map(|peer: &PeerId| Some((*peer, *slots.get(peer)?)))
        .collect();
    if evaluated.is_empty() {
        return Ok(BTreeMap::new());
    }
    let trial = EvaluationRequest {
        round,
        seed,
        outer,
        eval_rate: gauntlet.config().eval_rate_ratio,
        windows: gauntlet.config().eval_windows,
        admitted: &findings.admitted,
        evaluated: &evaluated,
    };
    evaluator.measure(&trial).map_err(|source| CommsError::Examination { round, source })
}
