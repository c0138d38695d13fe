//! The audit of a whole ledger, from its first entry.

use std::fmt;

use super::error::LedgerError;
use super::ledger::Ledger;
use super::rejection::Rejection;
use crate::ledger::state::LedgerState;
use crate::primitives::Digest;

/// A defect of a ledger, or an entry without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditFinding {
    /// An object or event that is not a valid entry at its position: written by an outsider, or
    /// tampered with.
    Invalid {
        /// Its number.
        number: u64,
        /// The first rule that it breaks.
        rejection: Rejection,
    },
    /// A valid entry that its author was not allowed to write in the state at that time.
    WithoutEffect {
        /// Its number.
        number: u64,
        /// The rule that it breaks.
        rejection: Rejection,
    },
    /// An entry was removed, or an object was written beyond the end.
    Gap {
        /// The first missing number.
        missing: u64,
        /// The next number that exists.
        next: u64,
    },
    /// An entry that an earlier audit saw is missing now.
    Rewritten {
        /// Its digest.
        expected: Digest,
    },
}

impl AuditFinding {
    /// Returns true if entries were lost. Invalid entries are skipped and do no harm.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Gap { .. } | Self::Rewritten { .. })
    }

    /// Returns true if the content of the ledger differs from what honest writers wrote.
    pub fn is_damage(&self) -> bool {
        // An entry without effect is ordinary: two valid entries can race, and one comes too late.
        !matches!(self, Self::WithoutEffect { .. })
    }

    /// The number of the entry, if the finding concerns one.
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Invalid { number, .. } | Self::WithoutEffect { number, .. } => Some(*number),
            Self::Gap { missing, .. } => Some(*missing),
            Self::Rewritten { .. } => None,
        }
    }
}

impl fmt::Display for AuditFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { number, rejection } => {
                write!(formatter, "entry {number} is invalid: {rejection}")
            }
            Self::WithoutEffect { number, rejection } => {
                write!(formatter, "entry {number} has no effect: {rejection}")
            }
            Self::Gap { missing, next } => {
                write!(formatter, "entry {missing} is missing, but entry {next} exists")
            }
            Self::Rewritten { expected } => {
                write!(formatter, "the entry {expected}, seen before, is missing")
            }
        }
    }
}

/// The result of an audit.
#[derive(Clone, Debug)]
pub struct LedgerAudit {
    /// The number of entries, invalid ones included.
    pub num_entries: u64,
    /// The digest of the last valid entry.
    ///
    /// Pass it to the next audit, which reports the ledger as rewritten if this entry is missing.
    pub head: Option<Digest>,
    /// The state after all entries.
    pub state: LedgerState,
    /// All findings, in the order of the ledger.
    pub findings: Vec<AuditFinding>,
}

/// Reads a ledger from its first entry and checks every entry.
///
/// `seen` is the head of an earlier audit, which must still be part of the ledger. An entry names
/// its predecessor but not its successor, so only a reader that kept the head notices that entries
/// were cut off the end.
///
/// # Errors
/// Failures of the backend. Defects of the ledger are findings.
pub async fn audit(ledger: &dyn Ledger, seen: Option<Digest>) -> Result<LedgerAudit, LedgerError> {
    let mut state = LedgerState::genesis(ledger.genesis());
    let (mut findings, mut head, mut is_seen) = (Vec::new(), None, false);
    for numbered in ledger.read(0).await? {
        let (number, is_valid) = (numbered.number, numbered.entry.is_ok());
        if let Ok(entry) = &numbered.entry {
            // Also of entries without effect: they are valid, and the chain continues from them.
            let digest = entry.digest();
            is_seen |= seen == Some(digest);
            head = Some(digest);
        }
        if let Err(rejection) = state.apply(&numbered) {
            findings.push(if is_valid {
                AuditFinding::WithoutEffect { number, rejection }
            } else {
                AuditFinding::Invalid { number, rejection }
            });
        }
    }
    if let Some((missing, next)) = ledger.gap().await? {
        findings.push(AuditFinding::Gap { missing, next });
    }
    if let Some(expected) = seen.filter(|_| !is_seen) {
        findings.push(AuditFinding::Rewritten { expected });
    }
    Ok(LedgerAudit { num_entries: state.next(), head, state, findings })
}
