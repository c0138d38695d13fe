//! The account that pays for entries in a contract.

use std::fmt;
use std::str::FromStr;

use alloy::signers::local::PrivateKeySigner;

use super::account::Account;

/// The text is not a secret key. The error does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wallet key must have 64 hexadecimal digits, optionally after 0x")]
pub struct WalletError;

/// An account that can sign transactions. Its secret is printed as `[redacted]`.
#[derive(Clone)]
pub struct Wallet(PrivateKeySigner);

impl Wallet {
    /// The address of the account.
    pub fn account(&self) -> Account {
        self.0.address()
    }

    pub(super) fn signer(&self) -> PrivateKeySigner {
        self.0.clone()
    }
}

impl FromStr for Wallet {
    type Err = WalletError;

    fn from_str(text: &str) -> Result<Self, WalletError> {
        // Key files end with a line feed. The parser's error is dropped: it can quote the secret.
        text.trim().parse().map(Self).map_err(|_| WalletError)
    }
}

impl fmt::Debug for Wallet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Wallet")
            .field("account", &self.account())
            .field("secret", &"[redacted]")
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let wallet: Wallet = format!("0x{secret}\n").parse().unwrap();
        assert_eq!(wallet.account().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        let printed = format!("{wallet:?}");
        assert!(printed.contains("[redacted]") && !printed.contains("ac0974"), "{printed}");
        assert_eq!(secret.get(1..).unwrap().parse::<Wallet>().unwrap_err(), WalletError);
    }
}
