//! Key pairs of simulated peers and validators.

use crate::primitives::{Keypair, SeededRng};

/// A key pair with a secret from `rng`. The secret can be guessed: never use it outside of tests.
pub(crate) fn keypair_from(rng: &mut SeededRng) -> Keypair {
    let mut secret = [0; 32];
    // Little-endian on every machine, or traces would differ between machines.
    secret.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&rng.bits().to_le_bytes()));
    Keypair::from_secret(&secret)
}
