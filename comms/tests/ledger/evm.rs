//! The contract on a real node. `scripts/test_evm.sh` starts a node and runs these tests.
//!
//! `COVEY_TEST_EVM` is the URL of the node. `COVEY_TEST_EVM_KEYS` holds the secret keys of eight
//! funded accounts, separated by commas.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy::network::EthereumWallet;
use alloy::primitives::{B256, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use covey_comms::ledger::backends::evm::{
    Account, EvmAddress, EvmLedger, Wallet, accounts_digest, deploy,
};
use covey_comms::ledger::state::{Genesis, ValidatorSetChange};
use covey_comms::ledger::{
    AuditFinding, CheckpointDigest, Entry, EntryPosition, Ledger, LedgerClient, LedgerError,
    LedgerParty, Operation, Rejection, Scores, audit, check_ledger_conformance,
};
use covey_comms::objects::Lineage;
use covey_comms::primitives::{Digest, Keypair, PeerId, Round, RunId};

use url::Url;

use crate::participants::{genesis, identity};

const STAKE: u128 = 1_000_000_000_000_000;

fn node() -> String {
    std::env::var("COVEY_TEST_EVM").expect("COVEY_TEST_EVM must be the URL of a node")
}

fn wallet(index: usize) -> Wallet {
    let keys =
        std::env::var("COVEY_TEST_EVM_KEYS").expect("COVEY_TEST_EVM_KEYS must hold secret keys");
    keys.split(',').nth(index).unwrap().parse().unwrap()
}

/// The wallets of the validators with these secrets.
fn accounts(secrets: &[u8]) -> BTreeMap<PeerId, Account> {
    secrets
        .iter()
        .map(|secret| (identity(*secret).peer(), wallet(usize::from(*secret) - 1).account()))
        .collect()
}

/// Deploys a contract that returns the stake after `delay` seconds.
async fn contract(genesis: &Genesis, delay: u64) -> EvmAddress {
    let node = node().parse().unwrap();
    let deployed =
        deploy(&node, &wallet(7), genesis, &accounts(&[1, 2, 3]), STAKE, delay).await.unwrap();
    EvmAddress { node, contract: deployed.contract, confirmations: 0 }
}

async fn ledger(address: &EvmAddress, genesis: &Genesis, index: usize) -> Arc<EvmLedger> {
    Arc::new(EvmLedger::open(address.clone(), genesis.clone(), Some(wallet(index))).await.unwrap())
}

async fn parties(address: &EvmAddress, secrets: [u8; 3], first_wallet: usize) -> [LedgerParty; 3] {
    let mut parties = Vec::new();
    for (index, secret) in secrets.into_iter().enumerate() {
        let ledger = ledger(address, &genesis(), first_wallet + index).await;
        ledger.add_successor_accounts(accounts(&[1, 2]));
        parties.push(LedgerParty { identity: identity(secret), ledger });
    }
    parties.try_into().unwrap()
}

fn on_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
#[ignore = "needs a node"]
fn a_contract_conforms() {
    on_runtime(async {
        let address = contract(&genesis(), 3600).await;
        let validators = parties(&address, [1, 2, 3], 0).await;
        let unknown = parties(&address, [10, 11, 12], 3).await;
        let accounts = accounts_digest(&accounts(&[1, 2]));
        check_ledger_conformance(&validators, &unknown, &identity(20), Some(accounts))
            .await
            .unwrap();
    });
}

#[test]
#[ignore = "needs a node"]
fn registering_a_foreign_key_costs_the_stake_and_has_no_effect() {
    on_runtime(async {
        let address = contract(&genesis(), 3600).await;
        let [thief, owner] =
            [ledger(&address, &genesis(), 3).await, ledger(&address, &genesis(), 4).await];
        copy_registration(&address, &identity(10), &wallet(4), &wallet(3)).await;
        let author = identity(10).peer();
        let found = audit(owner.as_ref(), None).await.unwrap();
        assert_eq!(
            found.findings,
            [AuditFinding::Invalid { number: 0, rejection: Rejection::BadSignature { author } }]
        );
        assert!(!found.state.is_registered(author));
        LedgerClient::new(owner.clone()).register(&identity(10), None).await.unwrap();
        assert!(audit(thief.as_ref(), None).await.unwrap().state.is_registered(author));
    });
}

alloy::sol! {
    #[sol(rpc)]
    contract Registering {
        function register(bytes32 key, string bucket, uint64 call, bytes32[2] signature)
            external payable;
    }
}

/// Sends the pending call of `owner` from the wallet `thief`.
async fn copy_registration(address: &EvmAddress, peer: &Keypair, owner: &Wallet, thief: &Wallet) {
    let provider = connect(&address.node, thief);
    let mut hasher = blake3::Hasher::new_derive_key("covey ledger 1 account");
    hasher.update(&provider.get_chain_id().await.unwrap().to_le_bytes());
    hasher.update(address.contract.as_slice()).update(owner.account().as_slice());
    let position = EntryPosition {
        run: genesis().run,
        number: 0,
        after: Digest::from_bytes(hasher.finalize().into()),
    };
    let entry = Entry::seal(peer, position, Operation::Register { bucket: None }, None).unwrap();
    let [first, second] =
        [0, 32].map(|at| B256::from_slice(&entry.signature().as_bytes()[at..at + 32]));
    let key = B256::from(*peer.peer().as_bytes());
    let contract = Registering::new(address.contract, provider);
    let call = contract.register(key, String::new(), 0, [first, second]).value(U256::from(STAKE));
    assert!(call.send().await.unwrap().get_receipt().await.unwrap().status());
}

fn connect(node: &Url, wallet: &Wallet) -> DynProvider {
    let keys = std::env::var("COVEY_TEST_EVM_KEYS").unwrap();
    let signers = keys.split(',').map(|key| key.parse::<PrivateKeySigner>().unwrap());
    let signer = signers.into_iter().find(|signer| signer.address() == wallet.account()).unwrap();
    ProviderBuilder::new().wallet(EthereumWallet::from(signer)).connect_http(node.clone()).erased()
}

#[test]
#[ignore = "needs a node"]
fn the_stake_is_paid_out_only_after_leaving_and_the_delay() {
    on_runtime(async {
        let address = contract(&genesis(), 2).await;
        let ledger = ledger(&address, &genesis(), 3).await;
        assert_eq!(ledger.stake().await.unwrap(), STAKE);
        let mut client = LedgerClient::new(ledger.clone());
        assert!(ledger.withdraw().await.is_err(), "withdrew a stake that was never paid");
        client.register(&identity(10), None).await.unwrap();
        let error = ledger.withdraw().await.unwrap_err().to_string();
        assert!(error.contains("leave first"), "{error}");
        client.leave(&identity(10)).await.unwrap();
        let error = ledger.withdraw().await.unwrap_err().to_string();
        assert!(error.contains("locked until"), "{error}");
        tokio::time::sleep(Duration::from_secs(4)).await;
        println!("withdraw: {} gas", ledger.withdraw().await.unwrap().gas);
        assert!(ledger.withdraw().await.is_err(), "withdrew twice");
    });
}

#[test]
#[ignore = "needs a node"]
fn a_contract_must_belong_to_the_run_and_writing_needs_a_wallet() {
    on_runtime(async {
        let address = contract(&genesis(), 0).await;
        let other =
            Genesis::new(RunId::of(b"another"), genesis().validator_set.members, 2).unwrap();
        let error = EvmLedger::open(address.clone(), other, None).await.unwrap_err();
        assert!(matches!(error, LedgerError::OtherLedger { .. }), "{error}");
        let other = Genesis::new(genesis().run, genesis().validator_set.members, 3).unwrap();
        let error = EvmLedger::open(address.clone(), other, None).await.unwrap_err();
        assert!(matches!(error, LedgerError::OtherLedger { .. }), "{error}");
        let reader = EvmLedger::open(address.clone(), genesis(), None).await.unwrap();
        let error = reader
            .append(&identity(10), Operation::Register { bucket: None }, None)
            .await
            .unwrap_err();
        assert!(matches!(error, LedgerError::NoWallet { .. }), "{error}");
        let nowhere = EvmAddress { contract: wallet(0).account(), ..address };
        assert!(EvmLedger::open(nowhere, genesis(), None).await.is_err());
    });
}

/// Prints the gas of each call, as published in `docs/ledger.md`.
#[test]
#[ignore = "needs a node"]
fn every_call_costs_about_the_published_gas() {
    on_runtime(async {
        let address = contract(&genesis(), 0).await;
        let peer = ledger(&address, &genesis(), 3).await;
        let url = "s3://bucket/prefix?endpoint=https://host.example:9000&region=eu-1".to_owned();
        let (one, two): (Keypair, Keypair) = (identity(10), identity(11));
        let calls = [
            (&one, Operation::Register { bucket: None }, None),
            (&one, Operation::Announce { bucket: Some(url) }, None),
            (&one, Operation::Rotate { to: two.peer() }, Some(&two)),
            (&two, Operation::Leave {}, None),
        ];
        for (author, operation, successor) in calls {
            print_gas(&peer, author, operation, successor).await;
        }
        let digest = Digest::of(b"digest");
        for secret in [1, 2] {
            let validator = ledger(&address, &genesis(), secret - 1).await;
            let accounts = Some(validator.add_successor_accounts(accounts(&[1, 2])));
            let author = identity(u8::try_from(secret).unwrap());
            let lineage = Lineage::from_digest(digest);
            let validator_set = ValidatorSetChange {
                generation: 1,
                members: [1, 2].map(|secret| identity(secret).peer()).into(),
                threshold: 2,
                accounts,
            };
            for operation in [
                Operation::Scores(Scores {
                    round: Round(1),
                    verdict: digest,
                    payouts: Some(digest),
                }),
                Operation::Checkpoint(CheckpointDigest {
                    round: Round(1),
                    lineage,
                    weights: digest,
                }),
                Operation::Validators(validator_set),
            ] {
                print_gas(&validator, &author, operation, None).await;
            }
        }
        assert_eq!(audit(peer.as_ref(), None).await.unwrap().findings, []);
    });
}

/// Fails if a call costs far more than the published gas.
#[expect(clippy::print_stdout, reason = "the figures are the output")]
async fn print_gas(
    ledger: &EvmLedger,
    author: &Keypair,
    operation: Operation,
    successor: Option<&Keypair>,
) {
    let name = operation.name();
    let receipt = ledger.call(author, operation, successor).await.unwrap();
    println!("{name}: {} gas", receipt.gas);
    // Twice the highest measured value: a more expensive call needs new published figures.
    assert!(receipt.gas < 300_000, "{name} costs {} gas", receipt.gas);
}
