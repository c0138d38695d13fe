//! The chance of a round: nobody can know it before all deltas are committed, everybody can check it afterwards.

use std::collections::BTreeMap;

use crate::objects::Lineage;
use crate::primitives::{Digest, Keypair, NotHex, PeerId, Round, RunId, hex};

/// What a validator keeps to itself until a round is judged.
///
/// It follows from the validator's key, so that one that is killed and started again keeps its pledge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RoundSecret([u8; 32]);

impl RoundSecret {
    /// The secret of `validator` for a round that starts from `base`.
    pub fn of(validator: &Keypair, run: RunId, round: Round, base: Lineage) -> Self {
        let message =
            [run.digest().as_bytes(), base.digest().as_bytes(), round.0.to_le_bytes().as_slice()]
                .concat();
        Self(validator.derive("covey round secret 1", &message))
    }

    /// What binds its owner to it: a digest that tells nothing of it.
    pub fn pledge(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("covey pledge 1");
        hasher.update(&self.0);
        Digest::from_bytes(hasher.finalize().into())
    }

    /// The chance of a round of which these rolls were called, each by the digest of its payload.
    pub fn seed(
        &self,
        round: Round,
        base: Lineage,
        commitment_lists: &BTreeMap<PeerId, Digest>,
    ) -> Seed {
        let mut hasher = blake3::Hasher::new_derive_key("covey gauntlet seed 1");
        hasher.update(&self.0).update(&round.0.to_le_bytes()).update(base.digest().as_bytes());
        for (validator, digest) in commitment_lists {
            hasher.update(validator.as_bytes()).update(digest.as_bytes());
        }
        Seed(hasher.finalize().into())
    }
}

impl std::fmt::Debug for RoundSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RoundSecret")
    }
}

impl std::fmt::Display for RoundSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        hex::write(&self.0, formatter)
    }
}

impl std::str::FromStr for RoundSecret {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        hex::parse_32(text).map(Self).ok_or(NotHex)
    }
}

hex::written_as_text!(RoundSecret);

/// What all choices of a round are drawn from: whom to measure, on which windows, which chunks to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// An endless stream of bytes for one `purpose`, independent of those for others.
    pub fn stream(&self, purpose: &str) -> blake3::OutputReader {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(purpose.as_bytes());
        hasher.finalize_xof()
    }

    /// `count` different numbers below `bound`, ascending; all of them if there are no more.
    pub fn draw(&self, purpose: &str, count: usize, bound: u64) -> Vec<u64> {
        if count as u64 >= bound {
            return (0..bound).collect();
        }
        let mut stream = self.stream(purpose);
        let mut drawn = std::collections::BTreeSet::new();
        while drawn.len() < count {
            let mut bytes = [0; 8];
            stream.fill(&mut bytes);
            // 64 bits against the small bounds in use: the bias is below any measure.
            drawn.insert(u64::from_le_bytes(bytes) % bound);
        }
        drawn.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_back_and_differ_by_validator_round_and_base() {
        let run = RunId::of(b"a run");
        let base = Lineage::genesis(run);
        let secret = |key: u8, round| {
            RoundSecret::of(&Keypair::from_secret(&[key; 32]), run, Round(round), base)
        };
        assert_eq!(secret(1, 1), secret(1, 1));
        let all = [secret(1, 1), secret(2, 1), secret(1, 2)];
        assert!(all.iter().enumerate().all(|(at, one)| !all[..at].contains(one)));
        assert_ne!(all[0].pledge(), all[1].pledge());
        assert_eq!(all[0].to_string().parse(), Ok(all[0]));
    }

    #[test]
    fn draws_are_different_ascending_and_within_bounds() {
        let seed = Seed::from_bytes([3; 32]);
        let drawn = seed.draw("windows", 8, 100);
        assert!(drawn.len() == 8 && drawn.is_sorted_by(|one, other| one < other) && drawn[7] < 100);
        assert_eq!(drawn, seed.draw("windows", 8, 100));
        assert_ne!(drawn, seed.draw("chunks", 8, 100));
        assert_eq!(seed.draw("windows", 8, 5), [0, 1, 2, 3, 4]);
    }
}
