//! `covey bench validate`: the cost of evaluating deltas, relative to inner steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use covey_comms::agreement::draw::Seed;
use covey_comms::gauntlet::GauntletConfig;
use covey_comms::gauntlet::scoring::{Age, EvaluationRequest, Evaluator};
use covey_comms::membership::Slot;
use covey_comms::objects::OuterSettings;
use covey_comms::primitives::{Keypair, PeerId, Round};
use covey_optim::sparseloco::Compressor;
use serde_json::{Value, json};

use super::outer::{OuterBench, config};
use crate::cli::BenchOuterArgs;
use crate::run::validator::{DeltaEvaluator, settings};
use crate::system::device;
use crate::system::error::{Context, Failure, Result};

const ROUND: Round = Round(1);

/// Measures the time of an inner step, and of the evaluation of `peers` deltas.
pub(super) fn figures(arguments: &BenchOuterArgs) -> Result<Value> {
    device::use_threads(arguments.threads)?;
    let mut bench = OuterBench::new(config(arguments)?, 1)?;
    let slots = slots(arguments.peers)?;
    let start = Instant::now();
    let payloads = slots.values().map(|_| delta(&mut bench)).collect::<Result<Vec<_>>>()?;
    let step =
        start.elapsed().as_secs_f64() / (arguments.inner_steps * u64::from(arguments.peers)) as f64;

    let OuterBench { config, mut learners, assignment, replica, .. } = bench;
    let outer = settings(&config.sparseloco(), 0);
    let mut evaluation = DeltaEvaluator::new(replica, learners.remove(0), assignment);
    let start = Instant::now();
    for (peer, payload) in slots.keys().zip(payloads) {
        let admitted = evaluation.admit(Age::Current, *peer, &payload.into());
        admitted.map_err(|reason| Failure::new(format!("a delta is refused as {reason}")))?;
    }
    let admission = start.elapsed().as_secs_f64();
    let start = Instant::now();
    measure(&mut evaluation, &slots, &outer)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(json!({
        "peers": arguments.peers,
        "windows": GauntletConfig::default().eval_windows,
        "batch_size": arguments.batch_size,
        "sequence_length": arguments.sequence_length,
        "step_seconds": step,
        "reading_seconds": admission,
        "measuring_seconds": seconds,
        "steps_per_peer": (seconds + admission) / f64::from(arguments.peers) / step,
    }))
}

fn slots(peers: u32) -> Result<BTreeMap<PeerId, Slot>> {
    // Fixed keys, so every run of the benchmark draws the same windows.
    let names = (0..peers)
        .map(|number: u32| {
            Ok::<_, Failure>(Keypair::from_secret(&[u8::try_from(number)?; 32]).peer())
        })
        .collect::<Result<BTreeSet<_>>>()?;
    Ok(names
        .into_iter()
        .zip(0..)
        .map(|(peer, index)| (peer, Slot { index, num_slots: peers }))
        .collect())
}

/// Returns the payload of one peer. The peers may publish equal deltas: the time does not depend on
/// the values.
fn delta(bench: &mut OuterBench) -> Result<Vec<u8>> {
    let gradient = bench.pseudo_gradient(1, 0)?;
    let mut compressor =
        Compressor::new(Arc::clone(bench.replica.schema()), bench.config.sparseloco().decay);
    let learner = bench.learners.first().context("there is one learner")?;
    Ok(bench.replica.codec().encode(&learner.compress(&mut compressor, &gradient)?)?)
}

fn measure(
    evaluation: &mut DeltaEvaluator,
    slots: &BTreeMap<PeerId, Slot>,
    outer: &OuterSettings,
) -> Result<()> {
    let GauntletConfig { eval_windows: windows, eval_rate_ratio: eval_rate, .. } =
        GauntletConfig::default();
    let trial = EvaluationRequest {
        round: ROUND,
        seed: &Seed::from_bytes([1; 32]),
        outer,
        eval_rate,
        windows,
        admitted: &slots.keys().copied().collect(),
        evaluated: slots,
    };
    evaluation.measure(&trial).map(drop).map_err(|error| Failure::new(format!("{error}")))
}
