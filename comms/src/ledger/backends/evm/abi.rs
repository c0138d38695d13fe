//! The contract, from its committed ABI and bytecode.
//!
//! `scripts/check_contract.sh` compares both with the source.
#![expect(clippy::too_many_arguments, reason = "functions and events have as many as the ABI")]

alloy::sol!(
    #[sol(rpc)]
    CoveyLedger,
    "contracts/CoveyLedger.abi.json"
);

/// The creation code of the contract in hexadecimal, without constructor arguments.
// Committed, so a build needs no Solidity compiler.
pub(super) const BYTECODE: &str = include_str!("../../../../contracts/CoveyLedger.bin");
