//! `covey plan`: estimates memory, time and traffic of a configuration before any training.

use std::fmt::Write;

use covey_model::config::{ModelConfig, Precision, preset};

use super::config;
use crate::cli::PlanArgs;
use crate::config::layers::Purpose;
use crate::config::schema::{CheckpointedLayers, Config};
use crate::system::device::{DeviceKind, DeviceList, measured_peak};
use crate::system::error::{Context, Result};
use crate::system::terminal::output::print;
use crate::system::terminal::{bytes, grouped, span};
use crate::training::ModelFolder;
use crate::training::learner::{advice, devices, memory_limit, room};
use crate::training::plan::{
    DeviceMemory, ExchangePlan, HostMemory, LinkSpeed, MemoryPlan, Needs, Speeds, StepTime, fit,
};

pub(crate) fn run(arguments: &PlanArgs) -> Result<()> {
    let config = config::resolve(config::layers(&arguments.config), Purpose::Show)?.config;
    let sheet = Sheet::new(arguments, &config)?;
    let mut text = sheet.head();
    sheet.memory(&mut text)?;
    // The exchange comes last, because its share depends on the time of a step.
    let seconds = sheet.step(&mut text);
    sheet.exchange(&mut text, seconds.map(|seconds| seconds * config.rounds.inner_steps as f64));
    print(&text)
}

/// The inputs of the estimate.
struct Sheet<'a> {
    arguments: &'a PlanArgs,
    config: &'a Config,
    model: ModelConfig,
    devices: DeviceList,
    needs: Needs,
}

impl<'a> Sheet<'a> {
    fn new(arguments: &'a PlanArgs, config: &'a Config) -> Result<Self> {
        let devices = devices(config)?;
        let needs = Needs::of(config, &devices);
        Ok(Self { arguments, config, model: network(arguments, config)?, devices, needs })
    }

    fn head(&self) -> String {
        let Self { config, model, needs, .. } = self;
        let recompute = match config.memory.activation_checkpointing {
            CheckpointedLayers::None => "nothing recomputed".to_owned(),
            CheckpointedLayers::Blocks if config.memory.activation_checkpoint_every == 1 => {
                "every block recomputed".to_owned()
            }
            CheckpointedLayers::Blocks => {
                format!("one block of {} recomputed", config.memory.activation_checkpoint_every)
            }
        };
        format!(
            "{} parameters on {}, {}, micro-batches of {} x {} tokens, {} at a time, {recompute}\n",
            grouped(model.num_parameters()),
            self.devices,
            match needs.precision {
                Precision::Fp32 => "fp32",
                Precision::Bf16 => "bf16",
            },
            needs.micro_batch_size,
            needs.length,
            needs.micro_batches_per_gather,
        )
    }

    fn memory(&self, text: &mut String) -> Result<()> {
        let plan = MemoryPlan::new(&self.model, self.needs)?;
        // Shards differ slightly in size, and the largest decides whether training fits.
        let most = plan
            .members
            .iter()
            .max_by_key(|member| member.peak())
            .context("there is at least one member")?;
        let of_each = if plan.members.len() == 1 {
            "memory of the device"
        } else {
            "memory of each shard, at most"
        };
        section(text, of_each, &parts(most));
        let limit =
            self.arguments.device_memory.or_else(|| memory_limit(self.config, &self.devices));
        line(text, "fits", &self.verdict(&plan, limit));
        self.host_memory(text);
        Ok(())
    }

    fn host_memory(&self, text: &mut String) {
        let host = HostMemory::new(&self.model);
        section(
            text,
            "memory of the machine, as a peer of a distributed run",
            &[
                ("shared weights", host.replica),
                ("error feedback", host.error_feedback),
                ("during compression", host.exchange),
                ("during a checkpoint", host.checkpoint),
                ("peak", host.peak()),
            ],
        );
    }

    fn verdict(&self, plan: &MemoryPlan, limit: Option<u64>) -> String {
        let Some(limit) = limit else { return "unknown: set `--device-memory`".into() };
        let needed = plan.peak_of_devices(&self.devices);
        if needed <= limit {
            return format!("yes: {} of {}", bytes(needed as f64), bytes(limit as f64));
        }
        let advice = advice(fit(&self.model, self.needs, room(&self.devices, limit)));
        format!("no: {} of {}; {advice}", bytes(needed as f64), bytes(limit as f64))
    }

    /// Seconds of a step, if the speeds are known.
    fn step(&self, text: &mut String) -> Option<f64> {
        let speeds = Speeds { rate: self.rate(), between: self.arguments.between };
        let time = StepTime::new(&self.model, self.config, self.needs, speeds);
        text.push_str("\na step\n");
        line(text, "arithmetic", &format!("{:.3e} FLOPs", time.flops));
        line(text, "recomputed", &format!("{:.1} % more", time.recomputed / time.flops * 100.0));
        line(text, "moved by each shard", &bytes(time.moved));
        let seconds =
            |known: Option<f64>, missing: &str| known.map_or_else(|| missing.to_owned(), span);
        line(text, "compute", &seconds(time.compute, "unknown: set `--rate`"));
        if time.moved > 0.0 {
            line(
                text,
                "transfers, in parallel",
                &seconds(time.transfer, "unknown: set `--between`"),
            );
        }
        line(text, "whole step", &seconds(time.seconds(), "unknown"));
        time.seconds()
    }

    /// The given speed, or the measured speed of this machine's device.
    fn rate(&self) -> Option<f64> {
        self.arguments.rate.or_else(|| {
            let device = self.devices.first().open().ok()?.remove(0);
            // Shards on one CPU share its cores, so each gets a part of the measured speed.
            let sharers =
                if self.devices.kind() == DeviceKind::Cpu { self.devices.members() } else { 1 };
            Some(measured_peak(&device, self.needs.precision) / sharers as f64)
        })
    }

    fn exchange(&self, text: &mut String, train_seconds: Option<f64>) {
        let PlanArgs { peers, up, down, .. } = *self.arguments;
        let speed = LinkSpeed { up, down };
        let plan = ExchangePlan::new(&self.model, self.config, peers, speed, train_seconds);
        let _ =
            write!(text, "\na round of {} steps, {peers} peers\n", self.config.rounds.inner_steps);
        line(text, "delta", &bytes(plan.delta));
        let traffic = format!("{}, {} deltas", bytes(plan.bytes()), plan.fetched + 1);
        line(text, "sent and received", &traffic);
        line(text, "exchange", &span(plan.seconds));
        line(text, "hidden behind training", &format!("{:.0} %", plan.hidden * 100.0));
        match train_seconds {
            Some(seconds) => {
                line(text, "training", &span(seconds));
                let share = plan.utilisation(seconds) * 100.0;
                line(text, "computing", &format!("{share:.1} % of the time"));
            }
            None => line(text, "training", "unknown: set `--rate`"),
        }
    }
}

fn network(arguments: &PlanArgs, config: &Config) -> Result<ModelConfig> {
    let Some(shape) = &config.model.shape else {
        let folder = config.model.from.as_ref().context("a model is either a folder or a shape")?;
        return Ok(ModelFolder::open(folder, |_| {})?.config().model.clone());
    };
    // Without data the vocabulary is unknown, but presets have a published one.
    let vocabulary = arguments
        .vocab_size
        .or(shape.vocab_size)
        .or_else(|| preset(&config.model.preset).map(|model| model.vocab_size));
    Ok(shape.model_config(vocabulary.context("the vocabulary is unknown: set `--vocab-size`")?)?)
}

fn parts(member: &DeviceMemory) -> [(&'static str, u64); 8] {
    [
        ("weights, fp32", member.weights),
        ("gradients, fp32", member.gradients),
        ("moments, fp32", member.moments),
        ("gathered weights", member.gathered),
        ("gradients in reduction", member.sums),
        ("activations", member.activations),
        ("working buffers", member.working),
        ("peak", member.peak()),
    ]
}

fn section(text: &mut String, title: &str, parts: &[(&str, u64)]) {
    let _ = write!(text, "\n{title}\n");
    parts.iter().for_each(|(name, size)| line(text, name, &bytes(*size as f64)));
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<32} {value}");
}
