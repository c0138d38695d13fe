//! Commands of the ledger.

pub(crate) mod ledger;
pub(crate) mod peer;
mod scores;

use crate::cli::LedgerFlags;
use crate::run::LedgerChoice;

/// The ledger that the flags name.
pub(super) fn ledger_choice(flags: &LedgerFlags) -> LedgerChoice {
    LedgerChoice { url: flags.ledger.clone(), wallet: flags.wallet.clone() }
}
