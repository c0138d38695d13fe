//! Who committed in time: what one validator saw, and what several of them together make of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::agreement::validator_set::ValidatorSet;
use crate::objects::{Commitment, DeltaRef, MAX_PEERS};
use crate::primitives::{Digest, Fields, PeerId};

const MAGIC: [u8; 4] = *b"CVRL";
const VERSION: u16 = 1;

/// Bytes before the entries.
const FIXED_LENGTH: usize = 4 + 2 + 32 + 4;
const ENTRY_LENGTH: usize = 32 + 4 + Commitment::LENGTH;

/// A commitment as one validator came to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedCommitment {
    /// In which of its looks at the bucket the validator first saw it, counted from 1.
    pub look: u32,
    /// What the peer bound itself to.
    pub commitment: DeltaRef,
}

/// One validator's list of the commitments of a round: the payload of an envelope of kind
/// [`Kind::CommitmentList`](crate::objects::envelope::Kind::CommitmentList).
///
/// Names at most [`MAX_PEERS`](crate::objects::MAX_PEERS) peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentList {
    /// Binds the validator to the secret that it reveals with its verdict.
    pub pledge: Digest,
    /// Who committed.
    pub entries: BTreeMap<PeerId, ListedCommitment>,
}

impl CommitmentList {
    /// The longest payload of a roll in bytes.
    pub(crate) const MAX_LENGTH: u64 = (FIXED_LENGTH + MAX_PEERS * ENTRY_LENGTH) as u64;

    /// The one encoding of this roll.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(FIXED_LENGTH + self.entries.len() * ENTRY_LENGTH);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.pledge.as_bytes());
        bytes.extend((self.entries.len() as u32).to_le_bytes());
        for (peer, called) in &self.entries {
            bytes.extend(peer.as_bytes());
            bytes.extend(called.look.to_le_bytes());
            bytes.extend(called.commitment.to_bytes());
        }
        bytes.into()
    }

    /// Reads the encoding back; nothing for any other bytes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::of(bytes);
        let is_list = fields.take() == Some(MAGIC) && fields.u16() == Some(VERSION);
        let pledge = Digest::from_bytes(fields.take().filter(|_| is_list)?);
        let count = fields.u32()? as usize;
        if count > MAX_PEERS || fields.left() != count * ENTRY_LENGTH {
            return None;
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let peer = PeerId::from_bytes(fields.take()?);
            if entries.last().is_some_and(|(last, _)| *last >= peer) {
                return None;
            }
            entries.push((
                peer,
                ListedCommitment { look: fields.u32()?, commitment: Commitment::cut(&mut fields)? },
            ));
        }
        Some(Self { pledge, entries: entries.into_iter().collect() })
    }
}

/// The rolls of one round as far as they are known, each with the digest of its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitmentLists(pub(crate) BTreeMap<PeerId, (Digest, CommitmentList)>);

impl CommitmentLists {
    /// Whether so many validators called the roll that commitments are closed.
    pub fn are_enough(&self, validator_set: &ValidatorSet) -> bool {
        self.0.len() >= validator_set.threshold()
    }

    /// The digests of the rolls, by validator.
    pub fn digests(&self) -> BTreeMap<PeerId, Digest> {
        self.0.iter().map(|(validator, (digest, _))| (*validator, *digest)).collect()
    }

    /// The roll of one validator.
    pub fn of(&self, validator: PeerId) -> Option<&CommitmentList> {
        self.0.get(&validator).map(|(_, commitment_list)| commitment_list)
    }

    /// Who committed in time, and to what: those whom all but as many rolls list as may be wrong.
    ///
    /// So a validator that lies can neither leave somebody out nor let somebody in by itself. A peer that shows different
    /// commitments to different validators is not in time unless one of them is listed often enough and more often.
    pub fn timely(&self, validator_set: &ValidatorSet) -> BTreeMap<PeerId, DeltaRef> {
        let needed = self.0.len().saturating_sub(validator_set.spare()).max(1);
        let mut counts: BTreeMap<PeerId, Vec<(DeltaRef, usize)>> = BTreeMap::new();
        for (peer, called) in
            self.0.values().flat_map(|(_, commitment_list)| &commitment_list.entries)
        {
            let seen = counts.entry(*peer).or_default();
            match seen.iter_mut().find(|(commitment, _)| *commitment == called.commitment) {
                Some((_, count)) => *count += 1,
                None => seen.push((called.commitment, 1)),
            }
        }
        let best = |seen: Vec<(DeltaRef, usize)>| {
            let most = seen.iter().map(|(_, count)| *count).max().filter(|most| *most >= needed)?;
            let mut first = seen.into_iter().filter(|(_, count)| *count == most);
            let (commitment, _) = first.next()?;
            first.next().is_none().then_some(commitment)
        };
        counts.into_iter().filter_map(|(peer, seen)| Some((peer, best(seen)?))).collect()
    }

    /// Which of two peers committed first, as more of the validators saw it than not.
    pub fn first(&self, one: PeerId, other: PeerId) -> Option<PeerId> {
        let (mut ahead, mut behind) = (0, 0);
        for (_, commitment_list) in self.0.values() {
            match (commitment_list.entries.get(&one), commitment_list.entries.get(&other)) {
                (Some(one), Some(other)) if one.look < other.look => ahead += 1,
                (Some(one), Some(other)) if one.look > other.look => behind += 1,
                _ => {}
            }
        }
        match ahead.cmp(&behind) {
            std::cmp::Ordering::Greater => Some(one),
            std::cmp::Ordering::Less => Some(other),
            std::cmp::Ordering::Equal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::from_bytes([number; 32])
    }

    fn called(look: u32, content: u8) -> ListedCommitment {
        ListedCommitment { look, commitment: DeltaRef::of(&[content]) }
    }

    /// Rolls of validators 101, 102, …
    fn commitment_lists(lists: &[&[(u8, u32, u8)]]) -> CommitmentLists {
        let commitment_list = |list: &[(u8, u32, u8)]| CommitmentList {
            pledge: Digest::of(b"secret"),
            entries: list
                .iter()
                .map(|(number, look, content)| (peer(*number), called(*look, *content)))
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
    fn one_liar_leaves_nobody_out_and_lets_nobody_in() {
        let (honest, empty): (&[_], &[_]) = (&[(1, 1, 1), (2, 1, 2)], &[]);
        assert_eq!(timely(&[honest, empty]), [1, 2]);
        assert_eq!(timely(&[honest, honest, empty]), [1, 2]);
        let stuffed: &[_] = &[(1, 1, 1), (2, 1, 2), (3, 1, 3)];
        assert_eq!(timely(&[honest, honest, stuffed]), [1, 2]);
    }

    #[test]
    fn who_commits_to_two_things_is_held_to_what_most_saw_or_is_late() {
        let (one, other): (&[_], &[_]) = (&[(1, 1, 1)], &[(1, 1, 2)]);
        assert_eq!(timely(&[one, other]), Vec::<u8>::new());
        let commitment_lists = commitment_lists(&[one, other, other]);
        assert_eq!(commitment_lists.timely(&two_of_three())[&peer(1)], DeltaRef::of(&[2]));
    }

    #[test]
    fn the_first_is_whom_more_validators_saw_first() {
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
    fn a_roll_has_one_encoding() {
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
