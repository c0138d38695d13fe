//! The conformance suite of ledger backends. It is public, so other crates can test theirs.

use std::sync::Arc;

use futures_util::future::join_all;

use super::audit::audit;
use super::client::LedgerClient;
use super::error::LedgerError;
use super::ledger::Ledger;
use super::operation::{CheckpointDigest, Operation, Scores};
use super::rejection::Rejection;
use crate::bucket::Violation;
use crate::ledger::state::{LedgerState, Membership};
use crate::objects::Lineage;
use crate::primitives::{Digest, Keypair, PeerId, Round};

/// A peer or validator with a connection to a ledger that several parties share.
#[derive(Clone, Debug)]
pub struct LedgerParty {
    /// Its key pair.
    pub identity: Keypair,
    /// Its connection to the ledger.
    pub ledger: Arc<dyn Ledger>,
}

impl LedgerParty {
    fn peer(&self) -> PeerId {
        self.identity.peer()
    }

    // A fresh client per operation: each check also tests that a reader finds all older entries.
    fn client(&self) -> LedgerClient {
        LedgerClient::new(self.ledger.clone())
    }
}

/// The most characters of a detail: a list of entries prints at many times that length.
const MAX_DETAIL: usize = 400;

type LedgerCheck = Result<(), Violation>;

/// Checks an empty ledger against the contract of [`Ledger`].
///
/// The genesis config must name the three validators with a threshold of two. The three `peers`
/// must be able to write. `spare` is a key that the first peer rotates to. `accounts` is the digest
/// of the wallets of the first two validators, if the backend has wallets.
///
/// # Errors
/// The first broken law. Errors of the backend count as violations.
pub async fn check_ledger_conformance(
    validators: &[LedgerParty; 3],
    peers: &[LedgerParty; 3],
    spare: &Keypair,
    accounts: Option<Digest>,
) -> LedgerCheck {
    // In this order: each check continues with the entries of those before it.
    a_new_ledger_has_its_genesis_config(validators).await?;
    peers_register_in_one_order(peers).await?;
    secrets_are_refused(peers).await?;
    buckets_are_announced(peers).await?;
    a_key_rotates_with_both_signatures(peers, spare).await?;
    a_peer_leaves_and_returns(peers).await?;
    only_validators_post(validators, peers).await?;
    checkpoints_are_agreed_on(validators).await?;
    enough_votes_change_the_validators(validators, accounts).await?;
    state_is_a_fold(validators, peers).await
}

async fn a_new_ledger_has_its_genesis_config(validators: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "a new ledger is empty and has its genesis config";
    for party in validators {
        expect(law, party.ledger.read(0).await, Vec::new())?;
        let validator_set = &party.ledger.genesis().validator_set;
        let members = validators.iter().map(LedgerParty::peer).collect();
        require(law, validator_set.members == members && validator_set.threshold == 2, || {
            format!("the genesis config has {validator_set:?}")
        })?;
    }
    Ok(())
}

async fn peers_register_in_one_order(peers: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "any peer registers, in one order for all readers";
    // At the same time, so the backend has to order the writers.
    let numbers = join_all(peers.iter().map(async |party| {
        let mut client = party.client();
        client.register(&party.identity, None).await
    }));
    let mut numbers = numbers
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| violation(law, error))?;
    numbers.sort_unstable();
    require(law, numbers == [0, 1, 2], || format!("three entries got numbers {numbers:?}"))?;
    let state = state(law, &peers[0]).await?;
    for party in peers {
        require(law, state.is_registered(party.peer()), || {
            format!("{} is not registered", party.peer())
        })?;
        let rejection = Rejection::AlreadyRegistered { peer: party.peer() };
        refuses(law, party.client().register(&party.identity, None).await, &rejection)?;
    }
    Ok(())
}

async fn secrets_are_refused(peers: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "a URL with a secret is never written";
    let party = &peers[0];
    // User info, an unknown option, a store without an address, and a key as the user name.
    for url in [
        "s3://key:secret@bucket/prefix",
        "s3://bucket?secret=word",
        "memory://",
        "https://key@host/",
    ] {
        let before = party.ledger.read(0).await.map_err(|error| violation(law, error))?;
        let operation = Operation::Announce { bucket: Some(url.into()) };
        match party.ledger.append(&party.identity, operation, None).await {
            Err(LedgerError::Refused(Rejection::Bucket { .. })) => {}
            other => return broken(law, format!("announcing {url} gave {other:?}")),
        }
        expect(law, party.ledger.read(0).await, before)?;
    }
    Ok(())
}

async fn buckets_are_announced(peers: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "announced buckets are read by all";
    let party = &peers[1];
    let url = "s3://bucket/mine?endpoint=https://host.example&region=eu".to_owned();
    for bucket in [Some(url), None] {
        let announced = party.client().announce(&party.identity, bucket.clone()).await;
        announced.map_err(|error| violation(law, error))?;
        let state = state(law, &peers[2]).await?;
        let got = state.peers().get(&party.peer()).map(|record| record.bucket.clone());
        require(law, got == Some(bucket.clone()), || {
            format!("announced {bucket:?}, read {got:?}")
        })?;
    }
    Ok(())
}

async fn a_key_rotates_with_both_signatures(
    peers: &[LedgerParty; 3],
    spare: &Keypair,
) -> LedgerCheck {
    let law = "a key rotates with the signature of the new key, and stays invalid";
    let (party, other) = (&peers[0], &peers[1]);
    let to = Operation::Rotate { to: spare.peer() };
    match party.ledger.append(&party.identity, to, Some(&other.identity)).await {
        Err(LedgerError::Refused(Rejection::NoConsent)) => {}
        outcome => return broken(law, format!("rotating without consent gave {outcome:?}")),
    }
    let in_use = Rejection::KeyInUse { peer: other.peer() };
    refuses(law, party.client().rotate(&party.identity, &other.identity).await, &in_use)?;
    let number = party
        .client()
        .rotate(&party.identity, spare)
        .await
        .map_err(|error| violation(law, error))?;
    let state = state(law, other).await?;
    require(law, state.is_registered(spare.peer()), || "the new key is not registered".into())?;
    let old = state.peers().get(&party.peer()).map(|record| record.membership);
    let rotated = Membership::Rotated { at: number, to: spare.peer() };
    require(law, old == Some(rotated), || format!("the old key is {old:?}"))?;
    require(law, state.current_key(party.peer()) == spare.peer(), || {
        "the old key does not lead to the new one".into()
    })?;
    let rotated_away = Rejection::RotatedAway { peer: party.peer() };
    refuses(law, party.client().register(&party.identity, None).await, &rotated_away)?;
    let not_registered = Rejection::NotRegistered { peer: party.peer() };
    refuses(law, party.client().leave(&party.identity).await, &not_registered)
}

async fn a_peer_leaves_and_returns(peers: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "a peer leaves and may register again";
    let party = &peers[2];
    party.client().leave(&party.identity).await.map_err(|error| violation(law, error))?;
    require(law, !state(law, party).await?.is_registered(party.peer()), || {
        "it is still registered".into()
    })?;
    let not_registered = Rejection::NotRegistered { peer: party.peer() };
    refuses(law, party.client().leave(&party.identity).await, &not_registered)?;
    party.client().register(&party.identity, None).await.map_err(|error| violation(law, error))?;
    require(law, state(law, party).await?.is_registered(party.peer()), || {
        "it is not registered again".into()
    })
}

async fn only_validators_post(
    validators: &[LedgerParty; 3],
    peers: &[LedgerParty; 3],
) -> LedgerCheck {
    let law = "only validators post scores, once each, and a threshold of them agrees";
    let outsider = &peers[1];
    let rejection = Rejection::NotValidator { peer: outsider.peer() };
    refuses(
        law,
        outsider.client().post_scores(&outsider.identity, scores("right")).await,
        &rejection,
    )?;
    // The second validator disagrees, so only the third one completes an agreement.
    for (validator, text, agreed) in [
        (&validators[0], "right", None),
        (&validators[1], "wrong", None),
        (&validators[2], "right", Some(scores("right"))),
    ] {
        let number = validator.client().post_scores(&validator.identity, scores(text)).await;
        number.map_err(|error| violation(law, error))?;
        let state = state(law, outsider).await?;
        let posted = state.scores().posted(Round(4), validator.peer());
        require(law, posted == Some(scores(text)), || format!("read {posted:?}"))?;
        let got = state.scores().agreed(Round(4));
        require(law, got == agreed, || format!("agreed is {got:?}, not {agreed:?}"))?;
    }
    let validator = &validators[1];
    let rejection = Rejection::AlreadyPosted { validator: validator.peer(), round: Round(4) };
    refuses(
        law,
        validator.client().post_scores(&validator.identity, scores("right")).await,
        &rejection,
    )
}

fn scores(text: &str) -> Scores {
    Scores { round: Round(4), verdict: Digest::of(text.as_bytes()), payouts: None }
}

async fn checkpoints_are_agreed_on(validators: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "checkpoints are agreed on";
    let lineage = Lineage::from_digest(Digest::of(b"lineage"));
    let checkpoint = CheckpointDigest { round: Round(5), lineage, weights: Digest::of(b"weights") };
    for validator in &validators[..2] {
        let posted = validator.client().post_checkpoint(&validator.identity, checkpoint).await;
        posted.map_err(|error| violation(law, error))?;
    }
    let newest = state(law, &validators[2]).await?.checkpoints().newest();
    require(law, newest == Some((Round(5), checkpoint)), || format!("newest is {newest:?}"))
}

async fn enough_votes_change_the_validators(
    validators: &[LedgerParty; 3],
    accounts: Option<Digest>,
) -> LedgerCheck {
    let law = "a threshold of votes changes the validator set";
    let [first, second, third] = validators;
    // The third validator is voted out and must then have no vote.
    let members = [first.peer(), second.peer()];
    for (validator, generation) in [(first, 0), (second, 1)] {
        let voted = validator.client().vote(&validator.identity, members.into(), 2, accounts).await;
        voted.map_err(|error| violation(law, error))?;
        let got = state(law, third).await?.validator_set().generation;
        require(law, got == generation, || {
            format!("the validator set has generation {got}, not {generation}")
        })?;
    }
    let validator_set = state(law, first).await?.validator_set().clone();
    require(law, validator_set.members == members.into(), || {
        format!("the validator set is {validator_set:?}")
    })?;
    let rejection = Rejection::NotValidator { peer: third.peer() };
    refuses(
        law,
        third.client().vote(&third.identity, members.into(), 2, accounts).await,
        &rejection,
    )
}

async fn state_is_a_fold(validators: &[LedgerParty; 3], peers: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "all readers fold the same entries to the same state";
    let first =
        audit(peers[0].ledger.as_ref(), None).await.map_err(|error| violation(law, error))?;
    require(law, first.findings.is_empty(), || format!("{:?}", first.findings))?;
    for party in validators.iter().chain(peers) {
        let again = audit(party.ledger.as_ref(), first.head)
            .await
            .map_err(|error| violation(law, error))?;
        require(law, again.findings.is_empty(), || format!("{:?}", again.findings))?;
        require(law, again.state == first.state && again.head == first.head, || {
            "two readers differ".into()
        })?;
        let all = party.ledger.read(0).await.map_err(|error| violation(law, error))?;
        // Within, at and beyond the end: a reader may know more entries than its backend.
        let count = first.num_entries;
        for since in [1, count / 2, count, count + 7] {
            let tail: Vec<_> = all.iter().filter(|entry| entry.number >= since).cloned().collect();
            expect(law, party.ledger.read(since).await, tail)?;
        }
    }
    Ok(())
}

async fn state(law: &'static str, party: &LedgerParty) -> Result<LedgerState, Violation> {
    let mut client = party.client();
    client.refresh().await.map_err(|error| violation(law, error))?;
    Ok(client.state().clone())
}

fn refuses(law: &'static str, got: Result<u64, LedgerError>, expected: &Rejection) -> LedgerCheck {
    match got {
        Err(LedgerError::Refused(rejection)) if rejection == *expected => Ok(()),
        got => broken(law, format!("expected `{expected}`, got {got:?}")),
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(
    law: &'static str,
    got: Result<T, LedgerError>,
    expected: T,
) -> LedgerCheck {
    match got {
        Ok(got) if got == expected => Ok(()),
        got => broken(law, format!("expected {expected:?}, got {got:?}")),
    }
}

fn require(law: &'static str, holds: bool, detail: impl FnOnce() -> String) -> LedgerCheck {
    if holds { Ok(()) } else { broken(law, detail()) }
}

fn broken(law: &'static str, detail: String) -> LedgerCheck {
    Err(Violation { law, detail: detail.chars().take(MAX_DETAIL).collect() })
}

fn violation(law: &'static str, error: LedgerError) -> Violation {
    Violation { law, detail: format!("{error}: {error:?}").chars().take(MAX_DETAIL).collect() }
}
