//! The ledger in an EVM contract, read and written over JSON-RPC.
//!
//! The contract orders calls and holds stakes. It cannot check ed25519 signatures, so this code
//! verifies every event as it verifies an object of a bucket. It never stores the key of a wallet
//! and never prints the address of a node, which can contain an access key. Start with
//! [`EvmLedger`].
//!
//! ```rust
//! use covey_comms::ledger::backends::evm::EvmAddress;
//!
//! let text = "evm:https://node.example/?confirmations=3\
//!             &contract=0x5FbDB2315678afecb367f032d93F642f64180aa3";
//! let address: EvmAddress = text.parse()?;
//! assert_eq!(address.confirmations, 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod abi;
mod account;
mod address;
mod backend;
mod calls;
mod deployment;
mod events;
mod rpc;
mod wallet;

pub use self::account::{Account, accounts_digest};
pub use self::address::EvmAddress;
pub use self::backend::EvmLedger;
pub use self::calls::Receipt;
pub use self::deployment::{Deployment, deploy};
pub use self::wallet::{Wallet, WalletError};
