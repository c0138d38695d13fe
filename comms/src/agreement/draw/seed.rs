//! The seed of a round. No peer can know it before all deltas are committed, and every reader can
//! recompute it from the verdict.

use std::collections::BTreeMap;

use crate::objects::Lineage;
use crate::primitives::{Digest, Keypair, NotHex, PeerId, Round, RunId, hex};

/// The secret of a validator for one round, published with its verdict.
///
/// It is derived from the validator's key, so a validator that restarts still has the secret that
/// it pledged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RoundSecret([u8; 32]);

impl RoundSecret {
    /// The secret of `validator` for a round that starts from `base`.
    pub fn of(validator: &Keypair, run: RunId, round: Round, base: Lineage) -> Self {
        // The base is included: a second history of the run must not reuse a revealed secret.
        let message =
            [run.digest().as_bytes(), base.digest().as_bytes(), round.0.to_le_bytes().as_slice()]
                .concat();
        Self(validator.derive("covey round secret 1", &message))
    }

    /// The digest that commits a validator to this secret without revealing it.
    pub fn pledge(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("covey pledge 1");
        hasher.update(&self.0);
        Digest::from_bytes(hasher.finalize().into())
    }

    /// The seed of a round with these commitment lists: validator and digest of the payload.
    pub fn seed(
        &self,
        round: Round,
        base: Lineage,
        commitment_lists: &BTreeMap<PeerId, Digest>,
    ) -> Seed {
        let mut hasher = blake3::Hasher::new_derive_key("covey gauntlet seed 1");
        // The lists are part of the seed, so even the proposer does not know it before all of them
        // are published.
        hasher.update(&self.0).update(&round.0.to_le_bytes()).update(base.digest().as_bytes());
        for (validator, digest) in commitment_lists {
            hasher.update(validator.as_bytes()).update(digest.as_bytes());
        }
        Seed(hasher.finalize().into())
    }
}

// Not derived: the secret must not appear in a log before it is published.
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

/// The seed of all draws of a round: evaluated peers, evaluation windows, compared chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// An endless stream of random bytes for one `purpose`, independent of those for other
    /// purposes.
    pub fn stream(&self, purpose: &str) -> blake3::OutputReader {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(purpose.as_bytes());
        hasher.finalize_xof()
    }

    /// Draws `count` distinct numbers below `bound`, in ascending order; all numbers if there are
    /// not more.
    pub fn draw(&self, purpose: &str, count: usize, bound: u64) -> Vec<u64> {
        if count as u64 >= bound {
            return (0..bound).collect();
        }
        let mut stream = self.stream(purpose);
        let mut drawn = std::collections::BTreeSet::new();
        while drawn.len() < count {
            let mut bytes = [0; 8];
            stream.fill(&mut bytes);
            // The bias of the remainder is below `bound` / 2^64, which is negligible here.
            drawn.insert(u64::from_le_bytes(bytes) % bound);
        }
        drawn.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_reproducible_and_differ_by_validator_and_round() {
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
    fn drawn_numbers_are_distinct_ascending_and_below_the_bound() {
        let seed = Seed::from_bytes([3; 32]);
        let drawn = seed.draw("windows", 8, 100);
        assert!(drawn.len() == 8 && drawn.is_sorted_by(|one, other| one < other) && drawn[7] < 100);
        assert_eq!(drawn, seed.draw("windows", 8, 100));
        assert_ne!(drawn, seed.draw("chunks", 8, 100));
        assert_eq!(seed.draw("windows", 8, 5), [0, 1, 2, 3, 4]);
    }
}
