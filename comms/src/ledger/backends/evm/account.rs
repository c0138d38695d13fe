//! Wallets of peers and validators, and signatures in the words of a contract.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256};

use crate::primitives::{Digest, PeerId, Signature};

/// The address of a wallet or of a contract.
pub type Account = Address;

/// The predecessor of an entry in a contract: chain, contract and calling wallet.
///
/// It is signed. A wallet that copies a pending call of another one therefore sends an entry with
/// an invalid signature.
pub(super) fn anchor(chain: u64, contract: Account, wallet: Account) -> Digest {
    // The context string is part of the signed format: docs/ledger.md.
    let mut hasher = blake3::Hasher::new_derive_key("covey ledger 1 account");
    hasher.update(&chain.to_le_bytes()).update(contract.as_slice()).update(wallet.as_slice());
    Digest::from_bytes(hasher.finalize().into())
}

/// The digest of the wallets in a
/// [`ValidatorSetChange`](crate::ledger::state::ValidatorSetChange), in ascending order of keys.
pub fn accounts_digest(accounts: &BTreeMap<PeerId, Account>) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("covey ledger 1 accounts");
    for (peer, wallet) in accounts {
        hasher.update(peer.as_bytes()).update(wallet.as_slice());
    }
    Digest::from_bytes(hasher.finalize().into())
}

/// Splits a signature into two words of the contract.
// Two words instead of `bytes`: a dynamic array would cost an offset and a length in each event.
pub(super) fn to_words(signature: &Signature) -> [B256; 2] {
    let (first, second) = signature.as_bytes().split_at(32);
    [first, second].map(B256::from_slice)
}

/// Joins the two words of a signature.
pub(super) fn from_words(words: &[B256; 2]) -> Signature {
    let mut bytes = [0; 64];
    for (half, word) in bytes.chunks_exact_mut(32).zip(words) {
        half.copy_from_slice(word.as_slice());
    }
    Signature::from_bytes(bytes)
}
