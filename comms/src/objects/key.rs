//! The keys of all objects in a bucket.
//!
//! | key | written by | content |
//! |---|---|---|
//! | `run/description` | creator | the run's description |
//! | `run/parts/DIGEST` | creator | its parts |
//! | `ledger/NUMBER` | anyone | one entry of the ledger |
//! | `rounds/ROUND/commitments/PEER` | peer | envelope: digest of a delta |
//! | `rounds/ROUND/deltas/PEER` | peer | envelope: the delta |
//! | `rounds/ROUND/rolls/VALIDATOR` | validator | envelope: commitment list and pledge |
//! | `rounds/ROUND/verdicts/VALIDATOR` | validator | envelope: the verdict |
//! | `rounds/ROUND/votes/PROPOSER/VALIDATOR` | validator | envelope: the vote |
//! | `rounds/ROUND/manifest` | a validator | certified manifest |
//! | `checkpoints/ROUND/description` | a validator | envelope: the description |
//! | `checkpoints/ROUND/parts/DIGEST` | a validator | the parts |
//! | `peers/PEER/hello` | peer | envelope: join request |
//! | `peers/PEER/heartbeats/ROUND` | peer | envelope: heartbeat |
//! | `peers/PEER/farewells/ROUND` | peer | envelope: leave notice |
//! | `probe/DIGEST` | anyone | test object of a store |
//!
//! Rounds have ten digits and numbers of ledger entries twenty, so keys sort as numbers do. Each
//! key is written once.

use std::fmt;
use std::str::FromStr;

use crate::primitives::{Digest, PeerId, Round};

/// A text that is not a key of this layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a key of the bucket's layout")]
pub struct UnknownKey {
    /// The text.
    pub text: String,
}

/// The key of one object. Keys have no other representation, so an invalid key cannot be requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The description of the run.
    RunDescription,
    /// A part of the run's description.
    RunPart(Digest),
    /// An entry of the ledger.
    LedgerEntry(u64),
    /// The commitment of one peer.
    Commitment(Round, PeerId),
    /// The delta of one peer.
    Delta(Round, PeerId),
    /// The certified manifest of a round.
    Manifest(Round),
    /// The commitment list of one validator.
    CommitmentList(Round, PeerId),
    /// The verdict of one proposer.
    Verdict(Round, PeerId),
    /// The vote of the second validator on the first one's verdict.
    Vote(Round, PeerId, PeerId),
    /// The description of the checkpoint at the start of a round.
    CheckpointDescription(Round),
    /// A part of that checkpoint.
    CheckpointPart(Round, Digest),
    /// The join request of a peer.
    JoinRequest(PeerId),
    /// A heartbeat of a peer.
    Heartbeat(PeerId, Round),
    /// A leave notice of a peer.
    LeaveNotice(PeerId, Round),
    /// A test object of a store.
    Probe(Digest),
}

impl Key {
    /// The only peer that may write this key, if there is one.
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

/// The sort key of a bucket key: folder, number or peer, folder within it, and the remaining parts.
type KeyOrder<'key> = (u8, u64, &'key [u8; 32], u8, u32, &'key [u8; 32], &'key [u8; 32]);

impl Key {
    pub(super) const NOBODY: &'static [u8; 32] = &[0; 32];

    /// Compares as the text does, without formatting it: listings of a thousand keys are sorted
    /// often.
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
    /// Compares as the texts do. Stores list keys in this order.
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
    // Only votes have five parts. A longer text leaves a `/` in the last part, which then does not
    // parse.
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

/// Parses the rest of a key below `rounds/ROUND/`.
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

/// Parses exactly `digits` digits: any other notation would be a second key of the same number.
fn parse_number<T: FromStr>(text: &str, digits: usize) -> Option<T> {
    let is_canonical = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    is_canonical.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Prefix;

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
        let keys: Vec<Key> = every_key()
            .into_iter()
            .flat_map(|key: Key| {
                [0, 0x0a, 0xff]
                    .map(|byte| key.to_string().replace("a5", &format!("{byte:02x}")).parse())
            })
            .map(Result::unwrap)
            .collect();
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
