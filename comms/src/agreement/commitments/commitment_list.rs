//! Commitment lists of validators, and the closed commitments that follow from several of them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;

use crate::agreement::validator_set::ValidatorSet;
use crate::objects::{Commitment, DeltaRef, MAX_PEERS};
use crate::primitives::{Digest, Fields, PeerId};

const MAGIC: [u8; 4] = *b"CVRL";
const VERSION: u16 = 1;

/// Bytes before the entries: magic, version, pledge, count.
const FIXED_LENGTH: usize = 4 + 2 + 32 + 4;
/// Bytes of an entry: peer, poll, commitment.
const ENTRY_LENGTH: usize = 32 + 4 + Commitment::LENGTH;

/// A commitment in the list of one validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedCommitment {
    /// Number of the validator's poll that first saw the commitment, from 1.
    pub poll: u32,
    /// Digest and length of the delta.
    pub commitment: DeltaRef,
}

/// One validator's list of the commitments of a round: the payload of an envelope of kind
/// [`Kind::CommitmentList`](crate::objects::envelope::Kind::CommitmentList).
///
/// It has at most [`MAX_PEERS`](crate::objects::MAX_PEERS) entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentList {
    /// Digest of the secret that the validator reveals with its verdict.
    pub pledge: Digest,
    /// The commitments, by peer.
    pub entries: BTreeMap<PeerId, ListedCommitment>,
}

impl CommitmentList {
    /// The longest encoding in bytes.
    pub(crate) const MAX_LENGTH: u64 = (FIXED_LENGTH + MAX_PEERS * ENTRY_LENGTH) as u64;

    /// The canonical encoding.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(FIXED_LENGTH + self.entries.len() * ENTRY_LENGTH);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.pledge.as_bytes());
        bytes.extend((self.entries.len() as u32).to_le_bytes());
        for (peer, listed) in &self.entries {
            bytes.extend(peer.as_bytes());
            bytes.extend(listed.poll.to_le_bytes());
            bytes.extend(listed.commitment.to_bytes());
        }
        bytes.into()
    }

    /// Parses the canonical encoding, or returns `None` for any other bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(bytes);
        let is_list = fields.take() == Some(MAGIC) && fields.u16() == Some(VERSION);
        let pledge = Digest::from_bytes(fields.take().filter(|_| is_list)?);
        let count = fields.u32()? as usize;
        // Before anything is allocated: the count comes from untrusted bytes.
        if count > MAX_PEERS || fields.left() != count * ENTRY_LENGTH {
            return None;
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let peer = PeerId::from_bytes(fields.take()?);
            // Strictly ascending, so each list has one encoding and one digest.
            if entries.last().is_some_and(|(last, _)| *last >= peer) {
                return None;
            }
            entries.push((
                peer,
                ListedCommitment { poll: fields.u32()?, commitment: Commitment::cut(&mut fields)? },
            ));
        }
        Some(Self { pledge, entries: entries.into_iter().collect() })
    }
}

/// The known commitment lists of one round, each with the digest of its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitmentLists(pub(crate) BTreeMap<PeerId, (Digest, CommitmentList)>);

impl CommitmentLists {
    /// Returns true once enough validators have published their list: later commitments are not
    /// accepted.
    pub fn are_enough(&self, validator_set: &ValidatorSet) -> bool {
        self.0.len() >= validator_set.threshold()
    }

    /// The digests of the lists, by validator.
    pub fn digests(&self) -> BTreeMap<PeerId, Digest> {
        self.0.iter().map(|(validator, (digest, _))| (*validator, *digest)).collect()
    }

    /// The list of one validator.
    pub fn of(&self, validator: PeerId) -> Option<&CommitmentList> {
        self.0.get(&validator).map(|(_, commitment_list)| commitment_list)
    }

    /// Returns the closed commitments: those in all lists except as many as may be wrong.
    ///
    /// One dishonest validator can thus neither remove a commitment nor add one. If a peer shows
    /// different commitments to different validators, one of them must be in enough lists and in
    /// more lists than any other. Otherwise the peer is late.
    pub fn timely(&self, validator_set: &ValidatorSet) -> BTreeMap<PeerId, DeltaRef> {
        let needed = self.0.len().saturating_sub(validator_set.spare()).max(1);
        let mut counts: BTreeMap<PeerId, Vec<(DeltaRef, usize)>> = BTreeMap::new();
        for (peer, listed) in self.0.values().flat_map(|(_, list)| &list.entries) {
            let seen = counts.entry(*peer).or_default();
            match seen.iter_mut().find(|(commitment, _)| *commitment == listed.commitment) {
                Some((_, count)) => *count += 1,
                None => seen.push((listed.commitment, 1)),
            }
        }
        counts
            .into_iter()
            .filter_map(|(peer, seen)| Some((peer, most_listed(seen, needed)?)))
            .collect()
    }

    /// Returns which of two peers committed first, by a majority of the lists that contain both.
    pub fn first(&self, one: PeerId, other: PeerId) -> Option<PeerId> {
        let (mut ahead, mut behind) = (0, 0);
        for (_, list) in self.0.values() {
            match (list.entries.get(&one), list.entries.get(&other)) {
                (Some(one), Some(other)) if one.poll < other.poll => ahead += 1,
                (Some(one), Some(other)) if one.poll > other.poll => behind += 1,
                // The same poll saw both, so this validator does not know the order.
                _ => {}
            }
        }
        match ahead.cmp(&behind) {
            Ordering::Greater => Some(one),
            Ordering::Less => Some(other),
            Ordering::Equal => None,
        }
    }
}

/// Returns the commitment in the most lists, if these are at least `needed` and no other commitment
/// is in as many.
fn most_listed(seen: Vec<(DeltaRef, usize)>, needed: usize) -> Option<DeltaRef> {
    let most = seen.iter().map(|(_, count)| *count).max().filter(|most| *most >= needed)?;
    let mut first = seen.into_iter().filter(|(_, count)| *count == most);
    let (commitment, _) = first.next()?;
    first.next().is_none().then_some(commitment)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_bytes([number; 32])
    }

    fn listed(poll: u32, content: u8) -> ListedCommitment {
        ListedCommitment { poll, commitment: DeltaRef::of(&[content]) }
    }

    /// The lists of validators 101, 102, …
    fn commitment_lists(lists: &[&[(u8, u32, u8)]]) -> CommitmentLists {
        let commitment_list = |list: &[(u8, u32, u8)]| CommitmentList {
            pledge: Digest::of(b"secret"),
            entries: list
                .iter()
                .map(|(number, poll, content)| (peer(*number), listed(*poll, *content)))
                .collect(),
        };
        let signed = |commitment_list: CommitmentList| {
            (Digest::of(&commitment_list.to_bytes()), commitment_list)
        };
        let all = lists
            .iter()
            .zip(101..)
            .map(|(list, number)| (peer(number), signed(commitment_list(list))));
        CommitmentLists(all.collect())
    }

    fn two_of_three() -> ValidatorSet {
        ValidatorSet::new((101..104).map(peer).collect(), 2).unwrap()
    }

    fn timely(lists: &[&[(u8, u32, u8)]]) -> Vec<u8> {
        commitment_lists(lists)
            .timely(&two_of_three())
            .keys()
            .map(|peer| peer.as_bytes()[0])
            .collect()
    }

    #[test]
    fn one_dishonest_validator_can_neither_remove_nor_add_a_commitment() {
        let (honest, empty): (&[_], &[_]) = (&[(1, 1, 1), (2, 1, 2)], &[]);
        assert_eq!(timely(&[honest, empty]), [1, 2]);
        assert_eq!(timely(&[honest, honest, empty]), [1, 2]);
        let stuffed: &[_] = &[(1, 1, 1), (2, 1, 2), (3, 1, 3)];
        assert_eq!(timely(&[honest, honest, stuffed]), [1, 2]);
    }

    #[test]
    fn of_two_commitments_the_one_in_more_lists_counts_and_a_tie_is_late() {
        let (one, other): (&[_], &[_]) = (&[(1, 1, 1)], &[(1, 1, 2)]);
        assert_eq!(timely(&[one, other]), Vec::<u8>::new());
        let commitment_lists = commitment_lists(&[one, other, other]);
        assert_eq!(commitment_lists.timely(&two_of_three())[&peer(1)], DeltaRef::of(&[2]));
    }

    #[test]
    fn a_majority_of_lists_decides_who_committed_first() {
        let commitment_lists = commitment_lists(&[
            &[(1, 1, 1), (2, 2, 2)],
            &[(1, 3, 1), (2, 5, 2)],
            &[(1, 2, 1), (2, 1, 2)],
        ]);
        assert_eq!(commitment_lists.first(peer(1), peer(2)), Some(peer(1)));
        assert_eq!(commitment_lists.first(peer(2), peer(1)), Some(peer(1)));
        assert_eq!(commitment_lists.first(peer(1), peer(3)), None);
    }

    #[test]
    fn a_commitment_list_has_one_encoding() {
        let all = commitment_lists(&[&[(1, 1, 1), (2, 2, 2)]]);
        let commitment_list = all.of(peer(101)).unwrap();
        let bytes = commitment_list.to_bytes();
        assert_eq!(CommitmentList::parse(&bytes).as_ref(), Some(commitment_list));
        assert_eq!(CommitmentList::parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(CommitmentList::parse(&[&bytes[..], &[0]].concat()), None);
        let mut unsorted = bytes.to_vec();
        unsorted[FIXED_LENGTH..].rotate_left(ENTRY_LENGTH);
        assert_eq!(CommitmentList::parse(&unsorted), None);
        let names: BTreeSet<_> = commitment_list.entries.keys().collect();
        assert_eq!(names.len(), 2);
    }
}
