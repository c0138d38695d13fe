//! `covey bench outer`: many peers in one process, with one outer method.
//!
//! All methods see the same windows in the same order, those of the slots of a distributed run.
//! Data-parallel AdamW takes the windows of all peers into one step, so the number of tokens is the
//! same.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use covey_data::dataset::Dataset;
use covey_data::sampling::{Assignment, WindowSampler};
use covey_model::hub::{FloatDtype, TensorHeader, write_safetensors};
use covey_model::init::Initializer;
use covey_optim::baselines::{DeMo, DeMoConfig, DiLoCo, OuterMethod, SparseLoCo};
use covey_optim::sparseloco::{Profile, Schema, SparseLocoConfig};
use serde_json::json;

use crate::cli::{BenchOuterArgs, OuterMethodName};
use crate::config::layers::{Layers, Purpose};
use crate::config::schema::Config;
use crate::eval::HeldOut;
use crate::run::{Replica, assignment};
use crate::system::device;
use crate::system::error::{Context, Failure, Result};
use crate::training::checkpoint::NamedTensor;
use crate::training::learner::Learner;

/// Rounds between two evaluations.
const MEASURE_EVERY: u64 = 4;

pub(super) fn run(arguments: &BenchOuterArgs) -> Result<()> {
    let config = config(arguments)?;
    device::use_threads(arguments.threads)?;
    let mut bench = OuterBench::new(config, arguments.peers)?;
    match arguments.method {
        OuterMethodName::Adamw => bench.data_parallel(arguments.rounds),
        name => {
            let method = bench.method(name, arguments)?;
            bench.rounds(method, arguments)
        }
    }
}

/// The configuration of every benchmark: the `tiny` preset with shorter sequences and smaller
/// batches.
pub(super) fn config(arguments: &BenchOuterArgs) -> Result<Config> {
    let layers = Layers::new()
        .flag("bench", "model.preset", "tiny")
        .flag("bench", "train.batch_size", arguments.batch_size)
        .flag("bench", "data.sequence_length", arguments.sequence_length)
        .flag("bench", "train.steps", arguments.rounds * arguments.inner_steps)
        .flag("bench", "rounds.inner_steps", arguments.inner_steps)
        .flag("bench", "run.seed", arguments.seed)
        .flag("bench", "optim.learning_rate", arguments.learning_rate)
        .sources_flag("--data", std::slice::from_ref(&arguments.data));
    Ok(layers.resolve(Purpose::Train)?.config)
}

/// Peers, their data, and the shared weights.
pub(super) struct OuterBench {
    pub(super) config: Config,
    pub(super) learners: Vec<Learner>,
    pub(super) assignment: Assignment,
    held_out: HeldOut,
    pub(super) replica: Replica,
}

impl OuterBench {
    pub(super) fn new(config: Config, peers: u32) -> Result<Self> {
        let datasets =
            vec![Dataset::open(&config.data.sources.first().context("data is given")?.path)?];
        let tokenizer = datasets[0].tokenizer()?;
        let shape = config.model.shape.as_ref().context("the preset has a shape")?;
        let model = shape.model_config(tokenizer.vocab_size())?;
        let initializer = Initializer::new(config.run.seed, &model);
        let weights = model
            .parameters()
            .iter()
            .map(|spec: &covey_model::config::ParameterSpec| NamedTensor {
                name: spec.name.clone(),
                shape: spec.shape.clone(),
                values: initializer.tensor(spec),
            })
            .collect();
        Ok(Self {
            learners: (0..peers)
                .map(|_| Learner::open(&model, &config, |_, range| Ok(vec![0.0; range.len()])))
                .collect::<Result<_>>()?,
            assignment: assignment(&config, &datasets)?,
            held_out: HeldOut::new(&datasets, config.data.sequence_length, 64, 8)?,
            replica: Replica::new(weights, &config.sparseloco())?,
            config,
        })
    }

    fn sparseloco(
        &self,
        profile: Profile,
        arguments: &BenchOuterArgs,
    ) -> Result<Box<dyn OuterMethod>> {
        let config = SparseLocoConfig {
            profile,
            k: arguments.k,
            decay: arguments.decay,
            dct: arguments.dct,
            ..self.config.sparseloco()
        };
        let tensors = self.replica.schema().tensors().iter();
        let schema: Schema = config.schema(tensors.map(|spec| (spec.name(), spec.shape())))?;
        Ok(Box::new(SparseLoCo::new(Arc::new(schema), &config, self.learners.len())))
    }

    fn method(
        &self,
        name: OuterMethodName,
        arguments: &BenchOuterArgs,
    ) -> Result<Box<dyn OuterMethod>> {
        let peers = self.learners.len();
        Ok(match name {
            OuterMethodName::Covey => self.sparseloco(Profile::Covey, arguments)?,
            OuterMethodName::Reference => self.sparseloco(Profile::Reference, arguments)?,
            OuterMethodName::Diloco => {
                Box::new(DiLoCo::new(Arc::clone(self.replica.schema()), 0.9))
            }
            OuterMethodName::DilocoPlain => {
                Box::new(DiLoCo::new(Arc::clone(self.replica.schema()), 0.0))
            }
            OuterMethodName::Demo => {
                Box::new(DeMo::new(self.replica.schema(), DeMoConfig::default(), peers)?)
            }
            OuterMethodName::Adamw => {
                return Err(Failure::new("data-parallel AdamW has no outer step"));
            }
        })
    }

    /// Runs rounds of inner steps with one outer step each.
    fn rounds(
        &mut self,
        mut method: Box<dyn OuterMethod>,
        arguments: &BenchOuterArgs,
    ) -> Result<()> {
        let mut shared = self.by_schema();
        let mut bytes = 0;
        self.measure(0, 0)?;
        for round in 0..arguments.rounds {
            let gradients = (0..self.learners.len()).map(|peer| self.pseudo_gradient(round, peer));
            let gradients = gradients.collect::<Result<Vec<_>>>()?;
            bytes += method.round(&gradients, &mut shared, arguments.outer_learning_rate)?;
            self.replace(&shared);
            if (round + 1) % MEASURE_EVERY == 0 || round + 1 == arguments.rounds {
                self.measure(round + 1, bytes)?;
            }
        }
        Ok(())
    }

    /// Returns the pseudo-gradient of one peer in one round: start minus end.
    pub(super) fn pseudo_gradient(&mut self, round: u64, peer: usize) -> Result<Vec<Vec<f32>>> {
        let slot = u32::try_from(peer)?;
        let mut sampler = self.assignment.of(u32::try_from(round)?, slot)?;
        let (inner_steps, batch) = (self.config.rounds.inner_steps, self.config.train.batch_size);
        let learner = &mut self.learners[peer];
        learner.set_weights(self.replica.weights().map(|tensor| tensor.values.as_slice()))?;
        learner.set_step(round * inner_steps);
        for _ in 0..inner_steps {
            learner.step(&draw(&mut sampler, batch)?, sampler.length())?;
        }
        Ok(self.replica.minus(&learner.named_weights()))
    }

    /// Runs one learner that takes the windows of all peers into each step.
    fn data_parallel(&mut self, rounds: u64) -> Result<()> {
        let peers = u32::try_from(self.learners.len())?;
        let (inner_steps, batch) = (self.config.rounds.inner_steps, self.config.train.batch_size);
        // One learner is enough, and the others would hold memory.
        self.learners.truncate(1);
        self.learners[0]
            .set_weights(self.replica.weights().map(|tensor| tensor.values.as_slice()))?;
        // Every peer would send and receive its gradients in fp32 in every step.
        let bytes_per_step = 4 * self.replica.schema().num_elements() as u64;
        self.measure(0, 0)?;
        for round in 0..rounds {
            let samplers = (0..peers)
                .map(|slot| self.assignment.of(u32::try_from(round)?, slot).map_err(Failure::from));
            let mut samplers = samplers.collect::<Result<Vec<_>>>()?;
            for _ in 0..inner_steps {
                let parts = samplers.iter_mut().map(|sampler| draw(sampler, batch));
                let tokens = parts.collect::<Result<Vec<_>>>()?.concat();
                self.learners[0].step(&tokens, self.config.data.sequence_length)?;
            }
            if (round + 1) % MEASURE_EVERY == 0 || round + 1 == rounds {
                self.replica.replace(self.learners[0].named_weights());
                self.measure(round + 1, bytes_per_step * inner_steps * (round + 1))?;
            }
        }
        Ok(())
    }

    /// Prints one JSON line: the loss of the shared weights on held-out text.
    fn measure(&mut self, round: u64, bytes_per_peer: u64) -> Result<()> {
        let learner = &mut self.learners[0];
        // The learner belongs to peer 0, so its weights are restored afterwards.
        let own: Vec<_> = learner.named_weights();
        learner.set_weights(self.replica.weights().map(|tensor| tensor.values.as_slice()))?;
        let score = self.held_out.score(learner, &AtomicBool::new(false), |_| {})?;
        learner.set_weights(own.iter().map(|tensor| tensor.values.as_slice()))?;
        let line = json!({
            "round": round,
            "steps": round * self.config.rounds.inner_steps,
            "loss": score.loss(),
            "bits_per_byte": score.bits_per_byte(),
            "bytes_per_peer": bytes_per_peer,
        });
        Ok(writeln!(std::io::stdout().lock(), "{line}")?)
    }

    /// The shared weights in the order of the schema.
    fn by_schema(&self) -> Vec<Vec<f32>> {
        self.replica.to_schema(self.replica.weights().map(|tensor| tensor.values.clone()).collect())
    }

    pub(super) fn replace(&mut self, by_schema: &[Vec<f32>]) {
        let values = self.replica.to_canonical(by_schema);
        let tensors = self.replica.weights().zip(values);
        let tensors =
            tensors.map(|(tensor, values)| NamedTensor { values, ..tensor.clone() }).collect();
        self.replica.replace(tensors);
    }
}

fn draw(sampler: &mut WindowSampler, batch: usize) -> Result<Vec<u32>> {
    let mut tokens = Vec::new();
    for _ in 0..batch {
        sampler.draw(&mut tokens)?;
    }
    Ok(tokens)
}

/// Writes real pseudo-gradients for other programs, as tensors `roundNNN/NAME` of one file.
pub(super) fn write_pseudo_gradients(arguments: &BenchOuterArgs, output: &Path) -> Result<()> {
    device::use_threads(arguments.threads)?;
    let mut bench = OuterBench::new(config(arguments)?, 1)?;
    let mut method = bench.method(OuterMethodName::Covey, arguments)?;
    let mut shared = bench.by_schema();
    let (mut headers, mut values) = (Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        let gradient = bench.pseudo_gradient(round, 0)?;
        for (spec, tensor) in bench.replica.schema().tensors().iter().zip(&gradient) {
            let name = format!("round{round:03}/{}", spec.name());
            headers.push(TensorHeader {
                name,
                dtype: FloatDtype::Fp32.dtype(),
                shape: spec.shape().to_vec(),
            });
            values.push(tensor.clone());
        }
        method.round(&[gradient], &mut shared, arguments.outer_learning_rate)?;
        bench.replace(&shared);
    }
    let mut file = std::io::BufWriter::new(
        std::fs::File::create(output)
            .with_context(|| format!("cannot create {}", output.display()))?,
    );
    write_safetensors(&mut file, &std::collections::BTreeMap::new(), &headers, |index, sink| {
        FloatDtype::Fp32.write(&values[index], sink)
    })?;
    Ok(file.flush()?)
}
