//! What the deltas of a round are: fetched, held to what was committed, compared and measured.

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
use crate::run::{CONCURRENCY, CommsError, Run};

/// Deltas as they came, or why they are refused.
pub(super) type Fetched = BTreeMap<PeerId, Result<(DeltaRef, Bytes), Exclusion>>;

/// Fetches the deltas of `wanted` that are not in `fetched` yet; gives those that are out of reach.
pub(super) async fn fetch_deltas(
    run: &Run,
    (round, base): (Round, Lineage),
    wanted: &BTreeMap<PeerId, DeltaRef>,
    fetched: &mut Fetched,
) -> Result<BTreeSet<PeerId>, CommsError> {
    let unknown = wanted.iter().filter(|(peer, _)| !fetched.contains_key(peer));
    let fetches: Vec<_> = unknown
        .map(|(peer, commitment)| async move {
            (*peer, open_delta(run, (round, base), *peer, *commitment).await)
        })
        .collect();
    let arrivals: Vec<_> = iter(fetches).buffered(CONCURRENCY).collect().await;
    let mut gone = BTreeSet::new();
    for (peer, arrival) in arrivals {
        match arrival {
            Ok(payload) => drop(fetched.insert(peer, Ok((wanted[&peer], payload)))),
            Err(CommsError::Envelope(error)) => {
                drop(fetched.insert(peer, Err(Exclusion::from(&error))))
            }
            Err(CommsError::Bucket(BucketError::TooLarge { .. })) => {
                fetched.insert(peer, Err(Exclusion::TooLarge));
            }
            Err(CommsError::WrongContent { .. }) => {
                drop(fetched.insert(peer, Err(Exclusion::Mismatched)))
            }
            // What a peer's own bucket does is the peer's business.
            Err(CommsError::BucketUnreachable { .. } | CommsError::CannotOpenBucket { .. }) => {
                drop(gone.insert(peer))
            }
            Err(error) if error.is_absence() => drop(gone.insert(peer)),
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

/// A delta that is what its peer committed to.
async fn open_delta(
    run: &Run,
    (round, base): (Round, Lineage),
    peer: PeerId,
    commitment: DeltaRef,
) -> Result<Bytes, CommsError> {
    let expectation = Expectation {
        run: run.id(),
        kind: Kind::Delta,
        round: Some(round),
        base: Some(base),
        author: Author::Is(peer),
        max_payload: run.description().rules.max_delta,
    };
    let check = |object| Ok(Envelope::open(&object, &expectation)?);
    let limit = expectation.max_object();
    let envelope =
        run.fetch_delta_soon(round, peer, commitment.length.min(limit), limit, check).await?;
    let (expected, got) = (commitment.digest, envelope.header().payload_digest);
    match expected == got {
        true => Ok(envelope.payload().clone()),
        false => Err(CommsError::WrongContent {
            what: format!("the delta of {}", peer.short()),
            expected,
            got,
        }),
    }
}

/// What examining the shortlisted deltas brought to light.
#[derive(Clone, Debug, Default)]
pub(super) struct EvaluationResults {
    pub(super) refused: BTreeMap<PeerId, Exclusion>,
    pub(super) admitted: BTreeSet<PeerId>,
    pub(super) earlier: BTreeSet<PeerId>,
    pub(super) overlaps: Vec<SimilarPair>,
}

/// Has `evaluator` read the deltas, and compares how long they are and what they look like, with each other and with those of
/// the round before.
pub(super) fn evaluate(
    (gauntlet, peer_table): (&Gauntlet, &PeerTable),
    evaluator: &mut dyn Evaluator,
    (fetched, shortlist): (&Fetched, &Shortlist),
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
        match outcome {
            Ok(()) => drop(findings.admitted.insert(peer)),
            Err(reason) => drop(findings.refused.insert(peer, reason)),
        }
    }
    let norms = findings
        .admitted
        .iter()
        .filter_map(|peer| Some((*peer, evaluator.norm(Age::Current, *peer)?)))
        .collect();
    for peer in gauntlet.outsized(peer_table, &norms) {
        findings.admitted.remove(&peer);
        findings.refused.insert(peer, Exclusion::Outsized);
    }
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

/// Has `evaluator` measure those of the shortlist that are to be evaluated.
pub(super) fn measure(
    gauntlet: &Gauntlet,
    evaluator: &mut dyn Evaluator,
    (shortlist, findings): (&Shortlist, &EvaluationResults),
    slots: &BTreeMap<PeerId, Slot>,
    (round, outer, seed): (Round, &OuterSettings, &Seed),
) -> Result<BTreeMap<PeerId, Measurement>, CommsError> {
    let slot = |peer: &PeerId| Some((*peer, *slots.get(peer)?));
    let evaluated: BTreeMap<PeerId, Slot> =
        shortlist.evaluated.intersection(&findings.admitted).filter_map(slot).collect();
    if evaluated.is_empty() {
        return Ok(BTreeMap::new());
    }
    let trial = EvaluationRequest {
        round,
        seed,
        outer,
        eval_rate: gauntlet.config().eval_rate,
        windows: gauntlet.config().windows,
        admitted: &findings.admitted,
        evaluated: &evaluated,
    };
    evaluator.measure(&trial).map_err(|source| CommsError::Examination { round, source })
}
