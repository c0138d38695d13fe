//! The contract as its committed ABI and bytecode describe it; `scripts/check_contract.sh` holds both to the source.
#![expect(clippy::too_many_arguments, reason = "functions and events have as many as the ABI says")]

alloy::sol!(
    #[sol(rpc)]
    CoveyLedger,
    "contracts/CoveyLedger.abi.json"
);

/// What deploys the contract, as hexadecimal digits, without the arguments of its constructor.
pub(super) const BYTECODE: &str = include_str!("../../../../contracts/CoveyLedger.bin");
