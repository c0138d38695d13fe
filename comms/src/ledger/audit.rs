//! A ledger read from its beginning, with everything that is wrong in it.

use std::fmt;

use super::error::LedgerError;
use super::ledger::Ledger;
use super::rejection::Rejection;
use crate::ledger::state::LedgerState;
use crate::primitives::Digest;

/// Something in a ledger that does not hold, or has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditFinding {
    /// An object or event that is no entry, or not one for its place: written by a stranger, or tampered with.
    Invalid {
        /// Its number.
        number: u64,
        /// The first thing that is wrong with it.
        rejection: Rejection,
    },
    /// A signed entry that says what its author could not say at that moment.
    WithoutEffect {
        /// Its number.
        number: u64,
        /// Why not.
        rejection: Rejection,
    },
    /// An entry was taken out, or something was written beyond the end.
    Gap {
        /// The first number that is missing.
        missing: u64,
        /// The first one beyond it that is there.
        next: u64,
    },
    /// An entry that the reader has seen before is not there any more.
    Rewritten {
        /// Its digest.
        expected: Digest,
    },
}

impl AuditFinding {
    /// Whether entries were lost: nonsense that is skipped is a nuisance only.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Gap { .. } | Self::Rewritten { .. })
    }

    /// Whether the ledger holds what no writer of it made, or lacks what one did.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::WithoutEffect { .. })
    }

    /// The number of the entry, if it is about one.
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
                write!(formatter, "entry {missing} is missing, though entry {next} is there")
            }
            Self::Rewritten { expected } => {
                write!(formatter, "the entry {expected}, seen before, is gone")
            }
        }
    }
}

/// What reading all of a ledger gave.
#[derive(Clone, Debug)]
pub struct LedgerAudit {
    /// How many numbers are taken.
    pub lines: u64,
    /// The digest of the last entry that verifies, if there is one: whoever keeps it notices later whether the ledger was
    /// rewritten.
    pub head: Option<Digest>,
    /// What the ledger amounts to.
    pub state: LedgerState,
    /// What is wrong, in the order of the ledger.
    pub findings: Vec<AuditFinding>,
}

/// Reads a ledger from its beginning and checks every entry; `seen` is the head of an earlier audit, which must still be
/// there.
///
/// # Errors
/// What the keeper says; whatever is wrong in the ledger is a finding.
pub async fn audit(ledger: &dyn Ledger, seen: Option<Digest>) -> Result<LedgerAudit, LedgerError> {
    let mut state = LedgerState::genesis(ledger.genesis());
    let (mut findings, mut head, mut is_seen) = (Vec::new(), None, false);
    for line in ledger.read(0).await? {
        let number = line.number;
        if let Ok(entry) = &line.entry {
            let digest = entry.digest();
            is_seen |= seen == Some(digest);
            head = Some(digest);
        }
        match (state.apply(&line), line.entry) {
            (Ok(()), _) => {}
            (Err(rejection), Err(_)) => findings.push(AuditFinding::Invalid { number, rejection }),
            (Err(rejection), Ok(_)) => {
                findings.push(AuditFinding::WithoutEffect { number, rejection })
            }
        }
    }
    if let Some((missing, next)) = ledger.gap().await? {
        findings.push(AuditFinding::Gap { missing, next });
    }
    if let Some(expected) = seen.filter(|_| !is_seen) {
        findings.push(AuditFinding::Rewritten { expected });
    }
    Ok(LedgerAudit { lines: state.next(), head, state, findings })
}
