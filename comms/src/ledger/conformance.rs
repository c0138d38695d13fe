//! The contract of a ledger as a test that any keeper can be put to, public so that every new one is.

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

/// Somebody with a way of his own to one ledger that all share.
#[derive(Clone, Debug)]
pub struct LedgerParty {
    /// Who it is.
    pub identity: Keypair,
    /// His way to the ledger.
    pub ledger: Arc<dyn Ledger>,
}

impl LedgerParty {
    fn peer(&self) -> PeerId {
        self.identity.peer()
    }

    fn registry(&self) -> LedgerClient {
        LedgerClient::new(self.ledger.clone())
    }
}

type LedgerCheck = Result<(), Violation>;

/// Holds an empty ledger to its contract.
///
/// Its charter must name the three validators with a threshold of two. Of the strangers, the first three must be able to
/// write, the fourth is only a key that the first one rotates to. `accounts` is what the keeper knows the new validators
/// by, in its terms: the same three without the last.
///
/// # Errors
/// The first promise that is broken; errors of the keeper count.
pub async fn check_ledger_conformance(
    validators: &[LedgerParty; 3],
    unknown: &[LedgerParty; 3],
    spare: &Keypair,
    accounts: Option<Digest>,
) -> LedgerCheck {
    a_new_ledger_is_its_charter(validators).await?;
    anybody_registers(unknown).await?;
    secrets_are_refused(unknown).await?;
    buckets_are_announced(unknown).await?;
    a_key_rotates_with_its_own_consent(unknown, spare).await?;
    a_member_leaves_and_returns(unknown).await?;
    validators_and_nobody_else_post(validators, unknown).await?;
    checkpoints_are_agreed_on(validators).await?;
    enough_votes_change_the_validators(validators, accounts).await?;
    state_is_a_fold(validators, unknown).await
}

async fn a_new_ledger_is_its_charter(validators: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "a new ledger is its charter";
    for party in validators {
        expect(law, party.ledger.read(0).await, Vec::new())?;
        let validator_set = &party.ledger.genesis().validator_set;
        let members = validators.iter().map(LedgerParty::peer).collect();
        require(law, validator_set.members == members && validator_set.threshold == 2, || {
            format!("the charter has {validator_set:?}")
        })?;
    }
    Ok(())
}

/// All at once, so that they race for places.
async fn anybody_registers(unknown: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "anybody registers, in one order for all";
    let numbers = join_all(unknown.iter().map(async |party| {
        let mut registry = party.registry();
        registry.register(&party.identity, None).await
    }));
    let mut numbers = numbers
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| violation(law, error))?;
    numbers.sort_unstable();
    require(law, numbers == [0, 1, 2], || format!("three entries got numbers {numbers:?}"))?;
    let state = state(law, &unknown[0]).await?;
    for party in unknown {
        require(law, state.is_member(party.peer()), || format!("{} is no member", party.peer()))?;
        let rejection = Rejection::AlreadyMember { peer: party.peer() };
        refuses(law, party.registry().register(&party.identity, None).await, &rejection)?;
    }
    Ok(())
}

async fn secrets_are_refused(unknown: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "secrets never enter a ledger";
    let party = &unknown[0];
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

async fn buckets_are_announced(unknown: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "buckets are announced";
    let party = &unknown[1];
    let url = "s3://bucket/mine?endpoint=https://host.example&region=eu".to_owned();
    for bucket in [Some(url), None] {
        let announced = party.registry().announce(&party.identity, bucket.clone()).await;
        announced.map_err(|error| violation(law, error))?;
        let state = state(law, &unknown[2]).await?;
        let got = state.peers().get(&party.peer()).map(|record| record.bucket.clone());
        require(law, got == Some(bucket.clone()), || {
            format!("announced {bucket:?}, read {got:?}")
        })?;
    }
    Ok(())
}

async fn a_key_rotates_with_its_own_consent(
    unknown: &[LedgerParty; 3],
    spare: &Keypair,
) -> LedgerCheck {
    let law = "a key rotates with its own consent, and never comes back";
    let (party, other) = (&unknown[0], &unknown[1]);
    let to = Operation::Rotate { to: spare.peer() };
    match party.ledger.append(&party.identity, to, Some(&other.identity)).await {
        Err(LedgerError::Refused(Rejection::NoConsent)) => {}
        outcome => return broken(law, format!("rotating without consent gave {outcome:?}")),
    }
    let in_use = Rejection::KeyInUse { peer: other.peer() };
    refuses(law, party.registry().rotate(&party.identity, &other.identity).await, &in_use)?;
    let number = party
        .registry()
        .rotate(&party.identity, spare)
        .await
        .map_err(|error| violation(law, error))?;
    let state = state(law, other).await?;
    require(law, state.is_member(spare.peer()), || "the new key is no member".into())?;
    let old = state.peers().get(&party.peer()).map(|record| record.membership);
    let rotated = Membership::Rotated { at: number, to: spare.peer() };
    require(law, old == Some(rotated), || format!("the old key is {old:?}"))?;
    require(law, state.current_key(party.peer()) == spare.peer(), || {
        "the old key does not lead to the new".into()
    })?;
    let given_up = Rejection::GivenUp { peer: party.peer() };
    refuses(law, party.registry().register(&party.identity, None).await, &given_up)?;
    let no_member = Rejection::NotMember { peer: party.peer() };
    refuses(law, party.registry().leave(&party.identity).await, &no_member)
}

async fn a_member_leaves_and_returns(unknown: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "a member leaves and may return";
    let party = &unknown[2];
    party.registry().leave(&party.identity).await.map_err(|error| violation(law, error))?;
    require(law, !state(law, party).await?.is_member(party.peer()), || {
        "it is still a member".into()
    })?;
    let no_member = Rejection::NotMember { peer: party.peer() };
    refuses(law, party.registry().leave(&party.identity).await, &no_member)?;
    party
        .registry()
        .register(&party.identity, None)
        .await
        .map_err(|error| violation(law, error))?;
    require(law, state(law, party).await?.is_member(party.peer()), || "it did not return".into())
}

async fn validators_and_nobody_else_post(
    validators: &[LedgerParty; 3],
    unknown: &[LedgerParty; 3],
) -> LedgerCheck {
    let law = "validators post scores, once each, and enough of them agree";
    let scores = |text: &str| Scores {
        round: Round(4),
        verdict: Digest::of(text.as_bytes()),
        payouts: None,
    };
    let outsider = &unknown[1];
    let rejection = Rejection::NotValidator { peer: outsider.peer() };
    refuses(
        law,
        outsider.registry().post_scores(&outsider.identity, scores("right")).await,
        &rejection,
    )?;
    for (validator, text, agreed) in [
        (&validators[0], "right", None),
        (&validators[1], "wrong", None),
        (&validators[2], "right", Some(scores("right"))),
    ] {
        let posted = validator.registry().post_scores(&validator.identity, scores(text)).await;
        posted.map_err(|error| violation(law, error))?;
        let state = state(law, outsider).await?;
        let said = state.scores().said(Round(4), validator.peer());
        require(law, said == Some(scores(text)), || format!("read {said:?}"))?;
        let got = state.scores().agreed(Round(4));
        require(law, got == agreed, || format!("agreed is {got:?}, not {agreed:?}"))?;
    }
    let validator = &validators[1];
    let rejection = Rejection::AlreadySaid { validator: validator.peer(), round: Round(4) };
    refuses(
        law,
        validator.registry().post_scores(&validator.identity, scores("right")).await,
        &rejection,
    )
}

async fn checkpoints_are_agreed_on(validators: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "checkpoints are agreed on";
    let lineage = Lineage::from_digest(Digest::of(b"lineage"));
    let checkpoint = CheckpointDigest { round: Round(5), lineage, weights: Digest::of(b"weights") };
    for validator in &validators[..2] {
        let posted = validator.registry().post_checkpoint(&validator.identity, checkpoint).await;
        posted.map_err(|error| violation(law, error))?;
    }
    let newest = state(law, &validators[2]).await?.checkpoints().newest();
    require(law, newest == Some((Round(5), checkpoint)), || format!("newest is {newest:?}"))
}

async fn enough_votes_change_the_validators(
    validators: &[LedgerParty; 3],
    accounts: Option<Digest>,
) -> LedgerCheck {
    let law = "enough votes change the validators";
    let [first, second, third] = validators;
    let members = [first.peer(), second.peer()];
    for (validator, generation) in [(first, 0), (second, 1)] {
        let voted =
            validator.registry().vote(&validator.identity, members.into(), 2, accounts).await;
        voted.map_err(|error| violation(law, error))?;
        let got = state(law, third).await?.validator_set().generation;
        require(law, got == generation, || {
            format!("validators have generation {got}, not {generation}")
        })?;
    }
    let validator_set = state(law, first).await?.validator_set().clone();
    require(law, validator_set.members == members.into(), || {
        format!("validators are {validator_set:?}")
    })?;
    let rejection = Rejection::NotValidator { peer: third.peer() };
    refuses(
        law,
        third.registry().vote(&third.identity, members.into(), 2, accounts).await,
        &rejection,
    )
}

async fn state_is_a_fold(validators: &[LedgerParty; 3], unknown: &[LedgerParty; 3]) -> LedgerCheck {
    let law = "all readers fold the same lines to the same state";
    let first =
        audit(unknown[0].ledger.as_ref(), None).await.map_err(|error| violation(law, error))?;
    require(law, first.findings.is_empty(), || format!("{:?}", first.findings))?;
    for party in validators.iter().chain(unknown) {
        let again = audit(party.ledger.as_ref(), first.head)
            .await
            .map_err(|error| violation(law, error))?;
        require(law, again.findings.is_empty(), || format!("{:?}", again.findings))?;
        require(law, again.state == first.state && again.head == first.head, || {
            "two readers differ".into()
        })?;
        let all = party.ledger.read(0).await.map_err(|error| violation(law, error))?;
        for since in [1, first.lines / 2, first.lines, first.lines + 7] {
            let tail: Vec<_> = all.iter().filter(|line| line.number >= since).cloned().collect();
            expect(law, party.ledger.read(since).await, tail)?;
        }
    }
    Ok(())
}

async fn state(law: &'static str, party: &LedgerParty) -> Result<LedgerState, Violation> {
    let mut registry = party.registry();
    registry.refresh().await.map_err(|error| violation(law, error))?;
    Ok(registry.state().clone())
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
    // Entries print long.
    Err(Violation { law, detail: detail.chars().take(400).collect() })
}

fn violation(law: &'static str, error: LedgerError) -> Violation {
    Violation { law, detail: format!("{error}: {error:?}").chars().take(400).collect() }
}
