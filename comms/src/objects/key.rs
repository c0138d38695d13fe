//! Every key of the bucket, named in this one place.
//!
//! | key | written by | holds |
//! |---|---|---|
//! | `run/description` | founder | what the run is; its digest is the run's id |
//! | `run/parts/DIGEST` | founder | what the description names: config, tokenizer, genesis weights |
//! | `ledger/NUMBER` | anyone | one entry of the ledger |
//! | `rounds/ROUND/commitments/PEER` | peer | envelope: the digest of a delta that is still kept back |
//! | `rounds/ROUND/deltas/PEER` | peer | envelope: what the peer learned in the round |
//! | `rounds/ROUND/commitment_lists/VALIDATOR` | validator | envelope: who committed in time, and the pledge of a secret |
//! | `rounds/ROUND/verdicts/VALIDATOR` | validator | envelope: what was measured, and who is to be in |
//! | `rounds/ROUND/votes/PROPOSER/VALIDATOR` | validator | envelope: whether it would sign the proposer's verdict |
//! | `rounds/ROUND/manifest` | a validator | who is in, signed by as many validators as it takes |
//! | `checkpoints/ROUND/description` | a validator | envelope: weights at the start of the round, by parts |
//! | `checkpoints/ROUND/parts/DIGEST` | a validator | the parts |
//! | `peers/PEER/join_request` | peer | envelope: wants to take part |
//! | `peers/PEER/heartbeats/ROUND` | peer | envelope: was alive in the round |
//! | `peers/PEER/farewells/ROUND` | peer | envelope: leaves after the round |
//! | `probe/DIGEST` | anyone | nothing of worth: tells what the store can do |
//!
//! Rounds have ten digits, numbers of ledger entries twenty, so that keys sort as numbers do. All keys are written once.

use std::fmt;
use std::str::FromStr;

use crate::primitives::{Digest, PeerId, Round};

/// A text that names nothing in the layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no key of the bucket's layout")]
pub struct UnknownKey {
    /// The text.
    pub text: String,
}

/// The name of one object in the bucket; there is no other way to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// What the run is.
    RunDescription,
    /// Something that the run's description names.
    RunPart(Digest),
    /// An entry of the ledger.
    LedgerEntry(u64),
    /// What one peer binds itself to, before anybody sees a delta.
    Commitment(Round, PeerId),
    /// The delta of one peer.
    Delta(Round, PeerId),
    /// The decision on a round.
    Manifest(Round),
    /// Who committed in time, as one validator saw it.
    CommitmentList(Round, PeerId),
    /// What one validator proposes for a round.
    Verdict(Round, PeerId),
    /// What the second of two validators says of the first one's verdict.
    Vote(Round, PeerId, PeerId),
    /// What a checkpoint of the weights at the start of a round consists of.
    CheckpointDescription(Round),
    /// Something that the checkpoint's description names.
    CheckpointPart(Round, Digest),
    /// A peer that wants to take part.
    JoinRequest(PeerId),
    /// A sign of life.
    Heartbeat(PeerId, Round),
    /// The end of a peer's part.
    LeaveNotice(PeerId, Round),
    /// An object that tells what the store can do.
    Probe(Digest),
}

impl Key {
    /// The peer whom this key belongs to, if it belongs to one; nobody else has business writing it.
    pub fn owner(&self) -> Option<PeerId> {
        match *self {
            Self::Commitment(_, peer)
            | Self::Delta(_, peer)
            | Self::CommitmentList(_, peer)
            | Self::Verdict(_, peer)
            | Self::Vote(_, _, peer)
            | Self::JoinRequest(peer)
            | Self::Heartbeat(peer, _)
            | Self::LeaveNotice(peer, _) => Some(peer),
            _ => None,
        }
    }
}

/// What texts of keys are compared by, step by step: folder, number or peer, folder within it, and what is left.
type KeyOrder<'key> = (u8, u64, &'key [u8; 32], u8, u32, &'key [u8; 32], &'key [u8; 32]);

impl Key {
    const NOBODY: &'static [u8; 32] = &[0; 32];

    /// Sorts as the text does, without writing it.
    fn place(&self) -> KeyOrder<'_> {
        let none = Self::NOBODY;
        match self {
            Self::CheckpointDescription(round) => (0, round.0.into(), none, 0, 0, none, none),
            Self::CheckpointPart(round, digest) => {
                (0, round.0.into(), none, 1, 0, digest.as_bytes(), none)
            }
            Self::LedgerEntry(number) => (1, *number, none, 0, 0, none, none),
            Self::LeaveNotice(peer, round) => (2, 0, peer.as_bytes(), 0, round.0, none, none),
            Self::Heartbeat(peer, round) => (2, 0, peer.as_bytes(), 1, round.0, none, none),
            Self::JoinRequest(peer) => (2, 0, peer.as_bytes(), 2, 0, none, none),
            Self::Probe(digest) => (3, 0, none, 0, 0, digest.as_bytes(), none),
            Self::Commitment(round, peer) => (4, round.0.into(), none, 0, 0, peer.as_bytes(), none),
            Self::Delta(round, peer) => (4, round.0.into(), none, 1, 0, peer.as_bytes(), none),
            Self::Manifest(round) => (4, round.0.into(), none, 2, 0, none, none),
            Self::CommitmentList(round, peer) => {
                (4, round.0.into(), none, 3, 0, peer.as_bytes(), none)
            }
            Self::Verdict(round, peer) => (4, round.0.into(), none, 4, 0, peer.as_bytes(), none),
            Self::Vote(round, proposer, peer) => {
                (4, round.0.into(), none, 5, 0, proposer.as_bytes(), peer.as_bytes())
            }
            Self::RunDescription => (5, 0, none, 0, 0, none, none),
            Self::RunPart(digest) => (5, 0, none, 1, 0, digest.as_bytes(), none),
        }
    }
}

impl Ord for Key {
    /// As the texts sort, which is the order in which stores list them.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunDescription => formatter.write_str("run/description"),
            Self::RunPart(digest) => write!(formatter, "run/parts/{digest}"),
            Self::LedgerEntry(number) => write!(formatter, "ledger/{number:020}"),
            Self::Commitment(round, peer) => {
                write!(formatter, "rounds/{:010}/commitments/{peer}", round.0)
            }
            Self::Delta(round, peer) => write!(formatter, "rounds/{:010}/deltas/{peer}", round.0),
            Self::Manifest(round) => write!(formatter, "rounds/{:010}/manifest", round.0),
            Self::CommitmentList(round, peer) => {
                write!(formatter, "rounds/{:010}/rolls/{peer}", round.0)
            }
            Self::Verdict(round, peer) => {
                write!(formatter, "rounds/{:010}/verdicts/{peer}", round.0)
            }
            Self::Vote(round, proposer, peer) => {
                write!(formatter, "rounds/{:010}/votes/{proposer}/{peer}", round.0)
            }
            Self::CheckpointDescription(round) => {
                write!(formatter, "checkpoints/{:010}/description", round.0)
            }
            Self::CheckpointPart(round, digest) => {
                write!(formatter, "checkpoints/{:010}/parts/{digest}", round.0)
            }
            Self::JoinRequest(peer) => write!(formatter, "peers/{peer}/hello"),
            Self::Heartbeat(peer, round) => {
                write!(formatter, "peers/{peer}/heartbeats/{:010}", round.0)
            }
            Self::LeaveNotice(peer, round) => {
                write!(formatter, "peers/{peer}/farewells/{:010}", round.0)
            }
            Self::Probe(digest) => write!(formatter, "probe/{digest}"),
        }
    }
}

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        parse(text).ok_or_else(|| UnknownKey { text: text.into() })
    }
}

fn parse(text: &str) -> Option<Key> {
    // Only votes have five steps, no key has more; whatever is too much does not parse.
    let mut steps = text.splitn(4, '/');
    let key = match (steps.next()?, steps.next()?, steps.next(), steps.next()) {
        ("ledger", number, None, None) => Key::LedgerEntry(parse_number(number, 20)?),
        ("run", "description", None, None) => Key::RunDescription,
        ("run", "parts", Some(digest), None) => Key::RunPart(digest.parse().ok()?),
        ("rounds", round, Some("manifest"), None) => Key::Manifest(parse_round(round)?),
        ("rounds", round, Some(folder), Some(rest)) => {
            parse_of_round(parse_round(round)?, folder, rest)?
        }
        ("checkpoints", round, Some("description"), None) => {
            Key::CheckpointDescription(parse_round(round)?)
        }
        ("checkpoints", round, Some("parts"), Some(digest)) => {
            Key::CheckpointPart(parse_round(round)?, digest.parse().ok()?)
        }
        ("peers", peer, Some("hello"), None) => Key::JoinRequest(peer.parse().ok()?),
        ("peers", peer, Some("heartbeats"), Some(round)) => {
            Key::Heartbeat(peer.parse().ok()?, parse_round(round)?)
        }
        ("peers", peer, Some("farewells"), Some(round)) => {
            Key::LeaveNotice(peer.parse().ok()?, parse_round(round)?)
        }
        ("probe", digest, None, None) => Key::Probe(digest.parse().ok()?),
        _ => return None,
    };
    Some(key)
}

/// What one peer or validator says in a round.
fn parse_of_round(round: Round, folder: &str, rest: &str) -> Option<Key> {
    let key = match folder {
        "commitments" => Key::Commitment(round, rest.parse().ok()?),
        "deltas" => Key::Delta(round, rest.parse().ok()?),
        "rolls" => Key::CommitmentList(round, rest.parse().ok()?),
        "verdicts" => Key::Verdict(round, rest.parse().ok()?),
        "votes" => {
            let (proposer, peer) = rest.split_once('/')?;
            Key::Vote(round, proposer.parse().ok()?, peer.parse().ok()?)
        }
        _ => return None,
    };
    Some(key)
}

fn parse_round(text: &str) -> Option<Round> {
    parse_number(text, 10).map(Round)
}

/// Exactly so many digits: any other writing would be a second name of the same number.
fn parse_number<T: FromStr>(text: &str, digits: usize) -> Option<T> {
    let is_canonical = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_canonical.then(|| text.parse().ok())?
}

/// A part of the bucket that can be listed; every one ends at a step between folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// The run's description and parts.
    Run,
    /// All entries of the ledger.
    Ledger,
    /// Everything that is said in all rounds.
    Rounds,
    /// The commitments of one round.
    Commitments(Round),
    /// The deltas of one round.
    Deltas(Round),
    /// The rolls of one round.
    CommitmentLists(Round),
    /// The verdicts of one round.
    Verdicts(Round),
    /// The votes of one round.
    Votes(Round),
    /// All checkpoints.
    Checkpoints,
    /// One checkpoint.
    Checkpoint(Round),
    /// All peers.
    Peers,
    /// Everything that one peer writes about itself.
    Peer(PeerId),
    /// What probes left behind.
    Probes,
}

impl Prefix {
    /// Whether `key` lies in this part.
    pub fn contains(&self, key: &Key) -> bool {
        match (*self, *key) {
            (Self::Run, Key::RunDescription | Key::RunPart(_)) => true,
            (Self::Ledger, Key::LedgerEntry(_)) => true,
            (Self::Rounds, Key::Commitment(..) | Key::Delta(..) | Key::Manifest(_)) => true,
            (Self::Rounds, Key::CommitmentList(..) | Key::Verdict(..) | Key::Vote(..)) => true,
            (Self::Commitments(round), Key::Commitment(of, _)) => round == of,
            (Self::Deltas(round), Key::Delta(of, _)) => round == of,
            (Self::CommitmentLists(round), Key::CommitmentList(of, _)) => round == of,
            (Self::Verdicts(round), Key::Verdict(of, _)) => round == of,
            (Self::Votes(round), Key::Vote(of, ..)) => round == of,
            (Self::Checkpoints, Key::CheckpointDescription(_) | Key::CheckpointPart(..)) => true,
            (
                Self::Checkpoint(round),
                Key::CheckpointDescription(of) | Key::CheckpointPart(of, _),
            ) => round == of,
            (Self::Peers, Key::JoinRequest(_) | Key::Heartbeat(..) | Key::LeaveNotice(..)) => true,
            (
                Self::Peer(peer),
                Key::JoinRequest(of) | Key::Heartbeat(of, _) | Key::LeaveNotice(of, _),
            ) => peer == of,
            (Self::Probes, Key::Probe(_)) => true,
            _ => false,
        }
    }

    /// The lowest key that can lie in this part.
    pub(crate) fn first_key(&self) -> Key {
        let nobody = PeerId::from_bytes(*Key::NOBODY);
        let nothing = Digest::from_bytes(*Key::NOBODY);
        match *self {
            Self::Run => Key::RunDescription,
            Self::Ledger => Key::LedgerEntry(0),
            Self::Rounds => Key::Commitment(Round::FIRST, nobody),
            Self::Commitments(round) => Key::Commitment(round, nobody),
            Self::Deltas(round) => Key::Delta(round, nobody),
            Self::CommitmentLists(round) => Key::CommitmentList(round, nobody),
            Self::Verdicts(round) => Key::Verdict(round, nobody),
            Self::Votes(round) => Key::Vote(round, nobody, nobody),
            Self::Checkpoints => Key::CheckpointDescription(Round::FIRST),
            Self::Checkpoint(round) => Key::CheckpointDescription(round),
            Self::Peers => Key::LeaveNotice(nobody, Round::FIRST),
            Self::Peer(peer) => Key::LeaveNotice(peer, Round::FIRST),
            Self::Probes => Key::Probe(nothing),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => formatter.write_str("run"),
            Self::Ledger => formatter.write_str("ledger"),
            Self::Rounds => formatter.write_str("rounds"),
            Self::Commitments(round) => write!(formatter, "rounds/{:010}/commitments", round.0),
            Self::Deltas(round) => write!(formatter, "rounds/{:010}/deltas", round.0),
            Self::CommitmentLists(round) => write!(formatter, "rounds/{:010}/rolls", round.0),
            Self::Verdicts(round) => write!(formatter, "rounds/{:010}/verdicts", round.0),
            Self::Votes(round) => write!(formatter, "rounds/{:010}/votes", round.0),
            Self::Checkpoints => formatter.write_str("checkpoints"),
            Self::Checkpoint(round) => write!(formatter, "checkpoints/{:010}", round.0),
            Self::Peers => formatter.write_str("peers"),
            Self::Peer(peer) => write!(formatter, "peers/{peer}"),
            Self::Probes => formatter.write_str("probe"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_key() -> Vec<Key> {
        let digest = Digest::of(b"part");
        let peer = PeerId::from_bytes([0xa5; 32]);
        let keys = [0, 7, u32::MAX].map(Round).map(|round| {
            [
                Key::RunDescription,
                Key::RunPart(digest),
                Key::LedgerEntry(round.0.into()),
                Key::Commitment(round, peer),
                Key::Delta(round, peer),
                Key::Manifest(round),
                Key::CommitmentList(round, peer),
                Key::Verdict(round, peer),
                Key::Vote(round, peer, PeerId::from_bytes([0x5a; 32])),
                Key::CheckpointDescription(round),
                Key::CheckpointPart(round, digest),
                Key::JoinRequest(peer),
                Key::Heartbeat(peer, round),
                Key::LeaveNotice(peer, round),
                Key::Probe(digest),
            ]
        });
        keys.concat()
    }

    #[test]
    fn every_key_comes_back_from_its_text() {
        for key in every_key() {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn a_key_has_no_second_spelling() {
        for key in every_key() {
            let text = key.to_string();
            for other in [
                format!("/{text}"),
                format!("{text}/"),
                text.replace('/', "//"),
                text.to_uppercase(),
            ] {
                assert!(other.parse::<Key>().is_err(), "{other}");
            }
        }
        for other in [
            "",
            "run",
            "rounds/7/manifest",
            "rounds/+000000007/manifest",
            "rounds/9999999999/manifest",
        ] {
            assert!(other.parse::<Key>().is_err(), "{other}");
        }
    }

    #[test]
    fn keys_sort_and_lie_in_prefixes_as_their_texts_do() {
        let more = |key: Key| {
            [0, 0x0a, 0xff]
                .map(|byte| key.to_string().replace("a5", &format!("{byte:02x}")).parse())
        };
        let keys: Vec<Key> = every_key().into_iter().flat_map(more).map(Result::unwrap).collect();
        let peer = PeerId::from_bytes([0xff; 32]);
        let rounds = [0, 7]
            .map(Round)
            .map(|round| [Prefix::Deltas(round), Prefix::Checkpoint(round)])
            .concat();
        let prefixes = [
            Prefix::Run,
            Prefix::Rounds,
            Prefix::Checkpoints,
            Prefix::Peers,
            Prefix::Peer(peer),
            Prefix::Probes,
        ];
        for key in &keys {
            for other in &keys {
                assert_eq!(
                    key.cmp(other),
                    key.to_string().cmp(&other.to_string()),
                    "{key} and {other}"
                );
            }
            for prefix in prefixes.iter().chain(&rounds) {
                let is_in = key.to_string().starts_with(&format!("{prefix}/"));
                assert_eq!(prefix.contains(key), is_in, "{prefix} and {key}");
                assert!(!is_in || prefix.first_key() <= *key, "{prefix} and {key}");
            }
        }
    }

    #[test]
    fn later_rounds_sort_after_earlier_ones() {
        assert!(Key::Manifest(Round(9)) < Key::Manifest(Round(10)));
        assert!(Key::Manifest(Round(999_999_999)) < Key::Manifest(Round(1_000_000_000)));
    }

    #[test]
    fn a_prefix_ends_between_steps() {
        let peer = PeerId::from_bytes([1; 32]);
        assert!(Prefix::Deltas(Round(1)).contains(&Key::Delta(Round(1), peer)));
        assert!(!Prefix::Deltas(Round(1)).contains(&Key::Manifest(Round(1))));
        assert!(!Prefix::Deltas(Round(1)).contains(&Key::Delta(Round(11), peer)));
        assert!(Prefix::Peer(peer).contains(&Key::JoinRequest(peer)));
        assert!(!Prefix::Peers.contains(&Key::RunDescription));
    }
}
