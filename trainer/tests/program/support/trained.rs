//! The reproducible part of a run, and running processes that can be stopped.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::sandbox::{ProgramOutput, Sandbox};

/// Timeout of waits that normally take milliseconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// The parts that must not depend on interruptions, by name.
///
/// Weights and moments are exact; state and metrics are without times, speeds and memory.
pub(crate) fn reproducible_parts(run: &Path, step: u64) -> BTreeMap<&'static str, Vec<u8>> {
    let checkpoint = run.join(format!("checkpoints/step-{step:08}"));
    let read =
        |name| fs::read(checkpoint.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut state: Value = serde_json::from_slice(&read("state.json")).unwrap();
    state.as_object_mut().unwrap().remove("elapsed").unwrap();
    let metrics: String =
        metrics(run).into_iter().map(|line| timeless(line).to_string() + "\n").collect();
    BTreeMap::from([
        ("config", read("config.json")),
        ("metrics", metrics.into_bytes()),
        ("moments", read("optimizer.safetensors")),
        ("state", state.to_string().into_bytes()),
        ("tokenizer", read("tokenizer.json")),
        ("weights", read("model.safetensors")),
    ])
}

/// Compares two results part by part. A failure names the part and does not print weights.
pub(crate) fn assert_same(got: &BTreeMap<&str, Vec<u8>>, expected: &BTreeMap<&str, Vec<u8>>) {
    for (name, bytes) in expected {
        let shown = |bytes: &[u8]| match *name {
            "weights" | "moments" => String::new(),
            _ => String::from_utf8_lossy(bytes).into_owned(),
        };
        assert!(
            got[name] == *bytes,
            "{name} differ\n{}\nexpected\n{}",
            shown(&got[name]),
            shown(bytes)
        );
    }
}

/// The complete lines of a run's metrics; none before the run starts.
pub(crate) fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The line without values that differ between two runs.
pub(crate) fn timeless(mut line: Value) -> Value {
    let fields = line.as_object_mut().unwrap();
    let of_the_day = [
        "tokens_per_second",
        "mfu",
        "elapsed",
        "memory",
        "train_seconds",
        "exchange_seconds",
        "wait_seconds",
    ];
    for field in of_the_day {
        fields.remove(field);
    }
    line
}

/// The step in the last line of a run's metrics.
pub(crate) fn last_step(run: &Path) -> u64 {
    metrics(run).last().map_or(0, |line| line["step"].as_u64().unwrap())
}

/// A running program; killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// Output files. A pipe would block the program once it is full.
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    pub(crate) fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        Self::start_named(sandbox, "only", sandbox.command(arguments))
    }

    /// Starts one of several programs in a sandbox, with output files named `name`.
    pub(crate) fn start_named(sandbox: &Sandbox, name: &str, mut command: Command) -> Self {
        let (stdout, stderr) =
            (sandbox.path(format!("{name}.stdout")), sandbox.path(format!("{name}.stderr")));
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        Self { child: command.spawn().unwrap(), stdout, stderr }
    }

    /// Waits until `happened` or the program ends.
    pub(crate) fn wait_until(&mut self, mut happened: impl FnMut() -> bool) {
        let start = Instant::now();
        while !happened() && self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < PATIENCE, "timeout");
            sleep(Duration::from_micros(200));
        }
    }

    /// Waits until stderr contains `line`.
    pub(crate) fn wait_for_line(&mut self, line: &str) {
        let stderr = self.stderr.clone();
        let has_line =
            || fs::read_to_string(&stderr).unwrap().lines().any(|printed| printed == line);
        self.wait_until(has_line);
        assert!(has_line(), "stderr never had the line: {line}");
    }

    /// Sends the signal `name`, such as `INT`. The program may have ended before.
    pub(crate) fn signal(&mut self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        Command::new("sh").args(["-c", &script]).status().unwrap();
    }

    /// Kills the program, as a power failure would. The exit code shows whether it had ended
    /// before.
    pub(crate) fn kill(mut self) -> ProgramOutput {
        self.child.kill().unwrap();
        self.end()
    }

    /// Waits for the end of the program.
    pub(crate) fn end(mut self) -> ProgramOutput {
        let status = self.child.wait().unwrap();
        let read = |path| fs::read(path).unwrap();
        ProgramOutput::new(Output {
            status,
            stdout: read(&self.stdout),
            stderr: read(&self.stderr),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The program has ended, or the test has failed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
