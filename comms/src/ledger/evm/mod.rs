//! The ledger in a contract of an Ethereum-compatible chain, `comms/contracts/CoveyLedger.sol`.
//!
//! The chain orders what peers sign, keeps it, and takes a stake for every registration; what counts is decided by the same
//! [fold](super::State) as everywhere. `docs/ledger.md` tells what the contract checks and what only its readers can.

mod account;
mod address;
mod deployment;
mod events;
mod interface;
mod keeper;
mod node;
mod wallet;

pub use account::{Account, accounts_digest};
pub use address::EvmAddress;
pub use deployment::{Deployment, deploy};
pub use keeper::{EvmLedger, Receipt};
pub use wallet::{Wallet, WalletError};
