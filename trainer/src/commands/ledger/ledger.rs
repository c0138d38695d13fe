//! `covey ledger`: verification of a ledger, and deployment of a contract.

use std::fmt::Write;

use covey_comms::ledger::{AuditFinding, LedgerAudit, audit};
use serde_json::json;

use super::ledger_choice;
use super::peer::connect;
use crate::cli::{LedgerCommand, VerifyLedgerArgs};
use crate::run::ledger;
use crate::system::error::{Failure, Result};
use crate::system::runtime::on_runtime;
use crate::system::terminal::output::print;

pub(crate) fn run(command: &LedgerCommand) -> Result<()> {
    match command {
        LedgerCommand::Verify(arguments) => verify(arguments),
        #[cfg(feature = "evm")]
        LedgerCommand::Deploy(arguments) => deployment::run(arguments),
    }
}

fn verify(arguments: &VerifyLedgerArgs) -> Result<()> {
    let audit = on_runtime(async {
        let run = connect(&arguments.ledger.place).await?;
        let ledger = ledger::open(&run, &ledger_choice(&arguments.ledger.ledger)).await?;
        Ok(audit(ledger.as_ref(), arguments.seen).await?)
    })?;
    let text = if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&as_json(&audit))?)
    } else {
        as_text(&audit)
    };
    print(&text)?;
    // Damage sets the exit code only after the report, so scripts get both.
    match audit.findings.iter().find(|finding| finding.is_damage()) {
        None => Ok(()),
        Some(first) => Err(Failure::new(format!("the ledger is invalid: {first}"))),
    }
}

fn as_text(audit: &LedgerAudit) -> String {
    let validator_set = audit.state.validator_set();
    let mut text = format!(
        "entries     {}\nhead        {}\nregistered  {}\nvalidators  {} of {} must agree\n",
        audit.num_entries,
        audit.head.map_or_else(|| "none".to_owned(), |head| head.to_string()),
        audit.state.registered().count(),
        validator_set.threshold,
        validator_set.members.len(),
    );
    for finding in &audit.findings {
        writeln!(text, "finding     {finding}").expect("writing to a string cannot fail");
    }
    text
}

fn as_json(audit: &LedgerAudit) -> serde_json::Value {
    json!({
        "entries": audit.num_entries,
        "head": audit.head.map(|head| head.to_string()),
        "members": audit.state.registered().map(|(peer, _)| peer.to_string()).collect::<Vec<_>>(),
        "validators": audit.state.validator_set().members,
        "threshold": audit.state.validator_set().threshold,
        "findings": audit.findings.iter().map(finding_as_json).collect::<Vec<_>>(),
    })
}

fn finding_as_json(finding: &AuditFinding) -> serde_json::Value {
    json!({
        "entry": finding.number(),
        "damage": finding.is_damage(),
        "what": finding.to_string(),
    })
}

#[cfg(feature = "evm")]
mod deployment {
    //! `covey ledger deploy`: creates the contract of a ledger.

    use std::collections::BTreeMap;

    use covey_comms::ledger::backends::evm::{Account, deploy};
    use covey_comms::primitives::PeerId;

    use crate::cli::DeployArgs;
    use crate::commands::ledger::peer::connect;
    use crate::run::WALLET_VARIABLE;
    use crate::run::ledger::{evm, genesis};
    use crate::system::error::{Result, UsageError};
    use crate::system::runtime::on_runtime;
    use crate::system::terminal::output::{print, say};

    pub(super) fn run(arguments: &DeployArgs) -> Result<()> {
        let accounts = arguments
            .validators
            .iter()
            .map(|text| account(text))
            .collect::<Result<BTreeMap<_, _>, _>>()?;
        let node = arguments
            .node
            .parse()
            .map_err(|_| UsageError::new("`--node` is not a URL such as http://HOST"))?;
        let wallet = evm::wallet(arguments.wallet.as_deref())?.ok_or_else(|| {
            let hint = format!("name a file with `--wallet`, or set {WALLET_VARIABLE}");
            UsageError::new("no account to pay for the contract").with_hint(hint)
        })?;
        let deployed = on_runtime(async {
            let run = connect(&arguments.place).await?;
            Ok(deploy(&node, &wallet, &genesis(&run)?, &accounts, arguments.stake, arguments.delay)
                .await?)
        })?;
        say(&format!(
            "deployed the contract for {} gas; pass the line below as `--ledger`",
            deployed.gas
        ));
        let mut url = node;
        url.query_pairs_mut().append_pair("contract", &deployed.contract.to_string());
        print(&format!("evm:{url}\n"))
    }

    fn account(text: &str) -> Result<(PeerId, Account), UsageError> {
        let parsed = text
            .split_once('=')
            .and_then(|(peer, account)| Some((peer.parse().ok()?, account.parse().ok()?)));
        let hint = "write the validator's id, =, and its account: 0x and 40 hexadecimal digits";
        parsed.ok_or_else(|| {
            UsageError::new(format!("`{text}` is not a validator with its account")).with_hint(hint)
        })
    }
}
