//! The deltas of one round as they come in: fetched, checked and judged once each.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::stream::{StreamExt, iter};

use crate::bucket::{BucketError, Listed};
use crate::digest::Digest;
use crate::envelope::{Author, Envelope, Expectation, Header, Kind};
use crate::envelope_error::EnvelopeError;
use crate::error::CommsError;
use crate::exclusion::Exclusion;
use crate::identity::PeerId;
use crate::lineage::Lineage;
use crate::manifest::Inclusion;
use crate::replay::Seen;
use crate::round::Round;
use crate::run::{CONCURRENCY, Run};

/// Decides whether a payload is of use, by its content.
pub(crate) type Judge<'judge> = dyn FnMut(PeerId, &Bytes) -> Result<(), Exclusion> + 'judge;

/// A place in the lottery of a round, lowest first: nobody can choose it, everybody can compute it.
type Ticket = (Digest, PeerId);

/// What has come in for one round.
///
/// - No delta is judged twice, unless the store shows that it was replaced.
/// - At most `max_included` payloads are kept: those that will be included if nothing better comes. What cannot be among
///   them is not even fetched.
#[derive(Debug)]
pub(crate) struct Inbox {
    round: Round,
    base: Lineage,
    max_included: usize,
    seated: BTreeSet<PeerId>,
    delivered: BTreeMap<PeerId, Listed>,
    strangers: BTreeSet<PeerId>,
    good: BTreeMap<Ticket, (Inclusion, Bytes)>,
    bad: BTreeMap<PeerId, Exclusion>,
    seen: Seen,
}

impl Inbox {
    /// Nothing yet of a round that starts from `base`.
    pub(crate) fn new(round: Round, base: Lineage, seated: BTreeSet<PeerId>, max_included: u32) -> Self {
        Self {
            round,
            base,
            max_included: max_included as usize,
            seated,
            delivered: BTreeMap::new(),
            strangers: BTreeSet::new(),
            good: BTreeMap::new(),
            bad: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// The round that is played.
    pub(crate) fn round(&self) -> Round {
        self.round
    }

    /// Who may contribute.
    pub(crate) fn seated(&self) -> &BTreeSet<PeerId> {
        &self.seated
    }

    /// Takes in what a listing of the round's deltas shows, fetching and judging whatever may be included.
    ///
    /// # Errors
    /// What the bucket says; a delta that is only out of reach for the moment is left for the next time.
    pub(crate) async fn receive(
        &mut self,
        run: &Run,
        listing: &[Listed],
        judge: &mut Judge<'_>,
    ) -> Result<(), CommsError> {
        self.note(listing);
        let mut queue: Vec<Ticket> = self.unjudged().map(|peer| self.ticket(peer)).collect();
        queue.sort_unstable_by(|one, other| other.cmp(one));
        loop {
            let mut batch = Vec::new();
            while batch.len() < CONCURRENCY
                && let Some((_, peer)) = queue.pop_if(|ticket| self.has_room_for(ticket))
            {
                batch.push(peer);
            }
            if batch.is_empty() {
                return Ok(());
            }
            self.receive_batch(run, &batch, judge).await?;
        }
    }

    async fn receive_batch(&mut self, run: &Run, peers: &[PeerId], judge: &mut Judge<'_>) -> Result<(), CommsError> {
        let (round, base) = (self.round, self.base);
        let listed: Vec<_> =
            peers.iter().filter_map(|peer| self.delivered.get(peer).copied().map(|it| (*peer, it))).collect();
        let fetches: Vec<_> = listed
            .into_iter()
            .map(|(peer, listed)| async move { (peer, open_delta(run, round, base, peer, &listed).await) })
            .collect();
        let arrivals: Vec<_> = iter(fetches).buffered(CONCURRENCY).collect().await;
        arrivals.into_iter().try_for_each(|(peer, arrival)| self.file(peer, arrival, judge))
    }

    /// Who delivered for the first time since the last look, by a listing that comes too late.
    pub(crate) fn stragglers(&self, listing: &[Listed]) -> BTreeSet<PeerId> {
        let peers = listing.iter().filter_map(|listed| listed.key.owner());
        peers.filter(|peer| !self.delivered.contains_key(peer)).collect()
    }

    /// Whether nothing more is needed of a peer: it delivered, and what it delivered was judged or is not needed.
    pub(crate) fn is_settled(&self, peer: PeerId) -> bool {
        let ticket = self.ticket(peer);
        let is_judged = self.bad.contains_key(&peer) || self.good.contains_key(&ticket);
        is_judged || (self.delivered.contains_key(&peer) && !self.has_room_for(&ticket))
    }

    /// How many deltas would be included now.
    pub(crate) fn num_good(&self) -> usize {
        self.good.len()
    }

    /// Whether anything was delivered by those who may.
    pub(crate) fn is_empty(&self) -> bool {
        self.delivered.is_empty()
    }

    /// Why the delta of a seated peer is out, if the peer delivered one that is.
    pub(crate) fn exclusion(&self, peer: PeerId) -> Option<Exclusion> {
        let surplus = || self.is_settled(peer).then_some(Exclusion::Surplus);
        self.bad.get(&peer).copied().or_else(surplus)
    }

    /// Who delivered without a seat.
    pub(crate) fn strangers(&self) -> &BTreeSet<PeerId> {
        &self.strangers
    }

    /// What would be included now.
    pub(crate) fn included(&self) -> BTreeMap<PeerId, Inclusion> {
        self.good.iter().map(|((_, peer), (inclusion, _))| (*peer, *inclusion)).collect()
    }

    /// The payloads of [`included`](Self::included).
    pub(crate) fn into_payloads(self) -> BTreeMap<PeerId, Bytes> {
        self.good.into_iter().map(|((_, peer), (_, payload))| (peer, payload)).collect()
    }

    fn note(&mut self, listing: &[Listed]) {
        for listed in listing {
            let Some(peer) = listed.key.owner() else { continue };
            if !self.seated.contains(&peer) {
                self.strangers.insert(peer);
                continue;
            }
            let before = self.delivered.insert(peer, *listed);
            if before.is_some_and(|before| before != *listed) {
                // The store let it be replaced; `seen` will tell whether it says something else now.
                self.bad.remove(&peer);
                self.good.remove(&self.ticket(peer));
            }
        }
    }

    fn unjudged(&self) -> impl Iterator<Item = PeerId> {
        self.delivered.keys().copied().filter(|peer| !self.is_settled(*peer))
    }

    fn ticket(&self, peer: PeerId) -> Ticket {
        let mut hasher = blake3::Hasher::new_derive_key("covey lottery 1");
        hasher.update(self.base.digest().as_bytes()).update(peer.as_bytes());
        (Digest::from_bytes(hasher.finalize().into()), peer)
    }

    fn has_room_for(&self, ticket: &Ticket) -> bool {
        self.good.len() < self.max_included || self.good.last_key_value().is_some_and(|(last, _)| ticket < last)
    }

    /// Judges what arrived.
    fn file(
        &mut self,
        peer: PeerId,
        arrival: Result<Envelope, CommsError>,
        judge: &mut Judge<'_>,
    ) -> Result<(), CommsError> {
        let outcome = match arrival {
            Ok(envelope) => self.judge(peer, &envelope, judge),
            Err(CommsError::Envelope(error)) => Err(Exclusion::from(&error)),
            Err(CommsError::Bucket(BucketError::TooLarge { .. })) => Err(Exclusion::TooLarge),
            Err(error) if error.is_absence() => {
                self.delivered.remove(&peer);
                return Ok(());
            }
            // What a peer's own bucket does is the peer's business.
            Err(CommsError::Away { .. } | CommsError::NoWay { .. }) => return Ok(()),
            Err(error) if error.is_passing() => return Ok(()),
            Err(error) => return Err(error),
        };
        match outcome {
            Ok(delta) => {
                self.good.insert(self.ticket(peer), delta);
                if self.good.len() > self.max_included {
                    self.good.pop_last();
                }
            }
            Err(exclusion) => drop(self.bad.insert(peer, exclusion)),
        }
        Ok(())
    }

    fn judge(
        &mut self,
        peer: PeerId,
        envelope: &Envelope,
        judge: &mut Judge<'_>,
    ) -> Result<(Inclusion, Bytes), Exclusion> {
        self.seen.admit(envelope.header()).map_err(|error| Exclusion::from(&error))?;
        judge(peer, envelope.payload())?;
        let Header { payload_digest: digest, payload_length: length, .. } = *envelope.header();
        Ok((Inclusion { digest, length }, envelope.payload().clone()))
    }
}

async fn open_delta(
    run: &Run,
    round: Round,
    base: Lineage,
    peer: PeerId,
    listed: &Listed,
) -> Result<Envelope, CommsError> {
    let limit = run.description().rules.max_delta;
    let expectation = Expectation {
        run: run.id(),
        kind: Kind::Delta,
        round: Some(round),
        base: Some(base),
        author: Author::Is(peer),
        max_payload: limit,
    };
    if listed.length > expectation.max_object() {
        let announced = listed.length - Header::LENGTH as u64;
        return Err(EnvelopeError::TooLarge { peer, announced, limit }.into());
    }
    let check = |object| Ok(Envelope::open(&object, &expectation)?);
    run.fetch_delta_soon(round, peer, listed.length, expectation.max_object(), check).await
}
