//! What a chain knows people by.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};

use crate::primitives::{Digest, PeerId, Signature};

/// The address of a wallet or of a contract.
pub type Account = Address;

/// What an entry in a contract stands on: the wallet that calls, in that contract of that chain.
///
/// It is signed, so that nobody can copy a call out of the queue and make it his own.
pub(super) fn anchor(chain: u64, contract: Account, wallet: Account) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("covey ledger 1 account");
    hasher.update(&chain.to_le_bytes()).update(contract.as_slice()).update(wallet.as_slice());
    Digest::from_bytes(hasher.finalize().into())
}

/// What a [council](crate::ledger::state::Council) calls the wallets of its members.
pub fn accounts_digest(accounts: &BTreeMap<PeerId, Account>) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("covey ledger 1 accounts");
    for (peer, wallet) in accounts {
        hasher.update(peer.as_bytes()).update(wallet.as_slice());
    }
    Digest::from_bytes(hasher.finalize().into())
}

/// A signature as the contract carries it.
pub(super) fn to_words(signature: &Signature) -> [B256; 2] {
    let (first, second) = signature.as_bytes().split_at(32);
    [first, second].map(B256::from_slice)
}

/// A signature as it came out of the contract.
pub(super) fn from_words(words: &[B256; 2]) -> Signature {
    let mut bytes = [0; 64];
    for (half, word) in bytes.chunks_exact_mut(32).zip(words) {
        half.copy_from_slice(word.as_slice());
    }
    Signature::from_bytes(bytes)
}
