//! The ledger as an Ethereum contract, read and written over JSON-RPC.

#[cfg(feature = "evm")]
mod abi;
#[cfg(feature = "evm")]
mod account;
#[cfg(feature = "evm")]
mod address;
#[cfg(feature = "evm")]
mod backend;
#[cfg(feature = "evm")]
mod deployment;
#[cfg(feature = "evm")]
mod events;
#[cfg(feature = "evm")]
mod rpc;
#[cfg(feature = "evm")]
mod wallet;

pub use self::account::{Account, accounts_digest};
pub use self::address::EvmAddress;
pub use self::backend::{EvmLedger, Receipt};
pub use self::deployment::{Deployment, deploy};
pub use self::wallet::{Wallet, WalletError};
