//! Conversion of the events of a contract to entries.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use alloy::rpc::types::Log;
use alloy::sol_types::SolEventInterface;

use super::abi::CoveyLedger::{self, CoveyLedgerEvents};
use super::account::{Account, accounts_digest, anchor, from_words};
use crate::ledger::entry::{Entry, EntryPosition};
use crate::ledger::ledger::NumberedEntry;
use crate::ledger::operation::{CheckpointDigest, Operation, Scores};
use crate::ledger::rejection::Verified;
use crate::ledger::state::ValidatorSetChange;
use crate::objects::Lineage;
use crate::primitives::{Digest, PeerId, Round, RunId};

/// The contract that emits the events.
#[derive(Clone, Copy, Debug)]
pub(super) struct ContractOrigin {
    pub(super) run: RunId,
    pub(super) chain: u64,
    pub(super) contract: Account,
}

/// The fields that all events share, with the operation of one.
struct ParsedEvent {
    number: u64,
    wallet: Account,
    key: B256,
    call: u64,
    signature: [B256; 2],
    consent: Option<[B256; 2]>,
    operation: Verified<Operation>,
}

/// Builds a [`ParsedEvent`] from an event, an operation and a consent.
// A macro, because the generated event types share field names but no trait.
macro_rules! parsed {
    ($event:expr, $operation:expr) => {
        parsed!($event, $operation, None)
    };
    ($event:expr, $operation:expr, $consent:expr) => {
        ParsedEvent {
            number: $event.number,
            wallet: $event.wallet,
            key: $event.key,
            call: $event.call,
            signature: $event.signature,
            consent: $consent,
            operation: $operation,
        }
    };
}

impl ContractOrigin {
    /// The entry of an event, or `None` for an event without one.
    pub(super) fn entry_of(&self, log: &Log) -> Option<NumberedEntry> {
        let event = CoveyLedgerEvents::decode_raw_log(log.topics(), &log.data().data).ok()?;
        let parsed = parse(event)?;
        Some(NumberedEntry { number: parsed.number, entry: self.verify(parsed) })
    }

    /// The position of a call: its number among the calls of the wallet.
    pub(super) fn position(&self, wallet: Account, call: u64) -> EntryPosition {
        EntryPosition {
            run: self.run,
            number: call,
            after: anchor(self.chain, self.contract, wallet),
        }
    }

    fn verify(&self, parsed: ParsedEvent) -> Verified<Entry> {
        // The contract cannot check ed25519, so the key in an event proves nothing before this.
        let author = PeerId::from_bytes(parsed.key.0);
        let consent = parsed.consent.as_ref().map(from_words);
        let position = self.position(parsed.wallet, parsed.call);
        Entry::assemble(position, author, parsed.operation?, from_words(&parsed.signature), consent)
    }
}

fn parse(event: CoveyLedgerEvents) -> Option<ParsedEvent> {
    Some(match event {
        CoveyLedgerEvents::Registered(event) => {
            parsed!(event, Ok(Operation::Register { bucket: bucket(&event.bucket) }))
        }
        CoveyLedgerEvents::Announced(event) => {
            parsed!(event, Ok(Operation::Announce { bucket: bucket(&event.bucket) }))
        }
        CoveyLedgerEvents::Rotated(event) => {
            let to = PeerId::from_bytes(event.to.0);
            parsed!(event, Ok(Operation::Rotate { to }), Some(event.consent))
        }
        CoveyLedgerEvents::Left(event) => parsed!(event, Ok(Operation::Leave {})),
        CoveyLedgerEvents::ScoresPosted(event) => {
            parsed!(event, Ok(Operation::Scores(scores(&event))))
        }
        CoveyLedgerEvents::CheckpointPosted(event) => {
            parsed!(event, Ok(Operation::Checkpoint(checkpoint(&event))))
        }
        CoveyLedgerEvents::ValidatorsVoted(event) => {
            parsed!(event, validator_set(&event).map(Operation::Validators))
        }
        // A payment between the contract and a wallet; it has no number in the ledger.
        CoveyLedgerEvents::Withdrawn(_) => return None,
    })
}

// The contract has no optional values: an empty text and a zero word mean absence.
fn bucket(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn digest(word: B256) -> Digest {
    Digest::from_bytes(word.0)
}

fn scores(event: &CoveyLedger::ScoresPosted) -> Scores {
    let payouts = (!event.payouts.is_zero()).then(|| digest(event.payouts));
    Scores { round: Round(event.round), verdict: digest(event.verdict), payouts }
}

fn checkpoint(event: &CoveyLedger::CheckpointPosted) -> CheckpointDigest {
    let lineage = Lineage::from_digest(digest(event.lineage));
    CheckpointDigest { round: Round(event.round), lineage, weights: digest(event.weights) }
}

fn validator_set(event: &CoveyLedger::ValidatorsVoted) -> Verified<ValidatorSetChange> {
    let keys = event.keys.iter().map(|key| PeerId::from_bytes(key.0));
    let accounts: BTreeMap<_, _> = keys.zip(event.wallets.iter().copied()).collect();
    let validator_set = ValidatorSetChange {
        generation: event.generation,
        threshold: event.threshold,
        accounts: Some(accounts_digest(&accounts)),
        members: accounts.into_keys().collect(),
    };
    validator_set.check().map(|()| validator_set)
}
