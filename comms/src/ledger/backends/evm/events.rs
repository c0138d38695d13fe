//! The contract's events as lines of a ledger.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use alloy::rpc::types::Log;
use alloy::sol_types::SolEventInterface;

use super::abi::CoveyLedger::{self, CoveyLedgerEvents};
use super::account::{Account, accounts_digest, anchor, from_words};
use crate::ledger::entry::{Entry, EntryPosition};
use crate::ledger::ledger::NumberedEntry;
use crate::ledger::operation::{CheckpointDigest, Operation, Scores};
use crate::ledger::rejection::Rejection;
use crate::ledger::state::ValidatorSetChange;
use crate::objects::Lineage;
use crate::primitives::{Digest, PeerId, Round, RunId};

/// The contract that events come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct ContractOrigin {
    pub(super) run: RunId,
    pub(super) chain: u64,
    pub(super) contract: Account,
}

/// What all events have in common.
struct EventHeader {
    number: u64,
    wallet: Account,
    key: B256,
    call: u64,
    signature: [B256; 2],
    consent: Option<[B256; 2]>,
    operation: Result<Operation, Rejection>,
}

/// What `$event` says, `$operation` by `$consent`.
macro_rules! said {
    ($event:expr, $operation:expr) => {
        said!($event, $operation, None)
    };
    ($event:expr, $operation:expr, $consent:expr) => {
        EventHeader {
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
    /// The line that a log of the contract stands for; nothing if it stands for none.
    pub(super) fn line(&self, log: &Log) -> Option<NumberedEntry> {
        let event = CoveyLedgerEvents::decode_raw_log(log.topics(), &log.data().data).ok()?;
        let said = read(event)?;
        Some(NumberedEntry { number: said.number, entry: self.entry(said) })
    }

    /// Where a call of a wallet stands.
    pub(super) fn place(&self, wallet: Account, call: u64) -> EntryPosition {
        EntryPosition {
            run: self.run,
            number: call,
            after: anchor(self.chain, self.contract, wallet),
        }
    }

    fn entry(&self, said: EventHeader) -> Result<Entry, Rejection> {
        let author = PeerId::from_bytes(said.key.0);
        let consent = said.consent.as_ref().map(from_words);
        let place = self.place(said.wallet, said.call);
        Entry::assemble(place, author, said.operation?, from_words(&said.signature), consent)
    }
}

fn read(event: CoveyLedgerEvents) -> Option<EventHeader> {
    Some(match event {
        CoveyLedgerEvents::Registered(event) => {
            said!(event, Ok(Operation::Register { bucket: bucket(&event.bucket) }))
        }
        CoveyLedgerEvents::Announced(event) => {
            said!(event, Ok(Operation::Announce { bucket: bucket(&event.bucket) }))
        }
        CoveyLedgerEvents::Rotated(event) => {
            let to = PeerId::from_bytes(event.to.0);
            said!(event, Ok(Operation::Rotate { to }), Some(event.consent))
        }
        CoveyLedgerEvents::Left(event) => said!(event, Ok(Operation::Leave {})),
        CoveyLedgerEvents::ScoresPosted(event) => {
            said!(event, Ok(Operation::Scores(scores(&event))))
        }
        CoveyLedgerEvents::CheckpointPosted(event) => {
            said!(event, Ok(Operation::Checkpoint(checkpoint(&event))))
        }
        CoveyLedgerEvents::ValidatorsVoted(event) => {
            said!(event, validator_set(&event).map(Operation::Validators))
        }
        CoveyLedgerEvents::Withdrawn(_) => return None,
    })
}

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

fn validator_set(event: &CoveyLedger::ValidatorsVoted) -> Result<ValidatorSetChange, Rejection> {
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
