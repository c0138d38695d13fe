//! The address of a ledger in a contract, as one text.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::account::Account;
use crate::ledger::error::LedgerError;

/// A contract with its node: `evm:http://HOST:PORT/?contract=0x…&confirmations=N`.
///
/// - The node is reached over HTTP or HTTPS. Providers hand out URLs with an access key in the
///   path, so only the host is ever printed.
/// - Query parameters other than `contract` and `confirmations` are passed to the node.
#[derive(Clone, PartialEq, Eq)]
pub struct EvmAddress {
    /// The node.
    pub node: Url,
    /// The contract.
    pub contract: Account,
    /// The number of blocks that must follow a block before it is read. Zero reads the newest
    /// block, which the chain can still replace.
    pub confirmations: u64,
}

impl FromStr for EvmAddress {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, LedgerError> {
        let url = text.strip_prefix("evm:").ok_or_else(|| malformed("it must begin with evm:"))?;
        let mut node = Url::parse(url)
            .map_err(|error| malformed(&format!("its node is not a URL: {error}")))?;
        if !matches!(node.scheme(), "http" | "https") {
            return Err(malformed("its node must begin with http:// or https://"));
        }
        let (mut contract, mut confirmations, mut others) = (None, 0, Vec::new());
        for (name, value) in node.query_pairs() {
            match name.as_ref() {
                "contract" => {
                    let parsed = value.parse();
                    contract = Some(
                        parsed
                            .map_err(|_| malformed("`contract` must be an address such as 0x…"))?,
                    );
                }
                "confirmations" => {
                    confirmations = value
                        .parse()
                        .map_err(|_| malformed("`confirmations` must be a number of blocks"))?;
                }
                _ => others.push((name.into_owned(), value.into_owned())),
            }
        }
        node.set_query(None);
        // `query_pairs_mut` would leave a bare `?` behind, which some nodes refuse.
        if !others.is_empty() {
            node.query_pairs_mut().extend_pairs(others);
        }
        let contract = contract.ok_or_else(|| malformed("`contract` is missing"))?;
        Ok(Self { node, contract, confirmations })
    }
}

fn malformed(reason: &str) -> LedgerError {
    // The text itself is not repeated: it can contain an access key.
    let reason = format!("{reason}; write evm:http://HOST:PORT/?contract=0x…");
    LedgerError::Backend {
        backend: "address of the ledger".into(),
        reason,
        is_passing: false,
        source: None,
    }
}

impl fmt::Display for EvmAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "contract {} at {}", self.contract, self.node.host_str().unwrap_or("?"))
    }
}

impl fmt::Debug for EvmAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

    #[test]
    fn an_address_has_a_node_and_a_contract() {
        let text =
            format!("evm:https://node.example/key?contract={CONTRACT}&confirmations=3&tier=free");
        let address: EvmAddress = text.parse().unwrap();
        assert_eq!(address.node.as_str(), "https://node.example/key?tier=free");
        assert_eq!((address.contract.to_string().as_str(), address.confirmations), (CONTRACT, 3));
    }

    #[test]
    fn an_invalid_address_is_refused_and_not_repeated() {
        for text in [
            "http://secret".to_owned(),
            "evm:http://secret/".into(),
            "evm:http://secret/?contract=0x12".into(),
            format!("evm:ftp://secret/?contract={CONTRACT}"),
            format!("evm:http://secret/?contract={CONTRACT}&confirmations=-1"),
        ] {
            let error = text.parse::<EvmAddress>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let address = format!("evm:https://node.example/secret?contract={CONTRACT}")
            .parse::<EvmAddress>()
            .unwrap();
        assert!(!format!("{address} {address:?}").contains("secret"));
    }
}
