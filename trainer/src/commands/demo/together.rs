//! The distributed run of the demo: a folder as bucket, and one process each for the validator and
//! every peer, as on separate machines.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use covey_comms::agreement::ValidatorSet;

use super::demo::Trained;
use crate::config::schema::Config;
use crate::run::{Connection, NewRun, identity};
use crate::system::error::{Context, Failure, Result};
use crate::system::runtime::on_runtime;
use crate::system::signal::is_raised;
use crate::system::terminal::output::say;
use crate::training::{EvalReport, MetricsEntry, MetricsLog};

/// Time between two checks of the processes.
const SLICE: Duration = Duration::from_millis(100);

/// Trains with `peers` peers in `folder`. Returns `None` if interrupted.
pub(super) fn train(
    config: &Config,
    folder: &Path,
    peers: u32,
    interrupt: &AtomicBool,
) -> Result<Option<Trained>> {
    let bucket = folder.join("bucket");
    let key = folder.join("validator.key");
    create_run(config, &bucket, &key)?;
    let mut processes = Processes(vec![validator(config, folder, &bucket, &key)?]);
    for number in 1..=peers {
        processes.0.push(peer(config, folder, &bucket, (number, peers))?);
    }
    say(&format!(
        "{peers} peers and a validator share {}; run `covey status` to see their state",
        bucket.display()
    ));
    watch(processes, interrupt)?;
    let own = folder.join("peer-1");
    match measured(&own)?.as_slice() {
        _ if is_raised(interrupt) => {
            say(&format!(
                "stopped; continue with `covey validate` and `covey join` on {}",
                bucket.display()
            ));
            Ok(None)
        }
        [first, .., last] => {
            Ok(Some(Trained { folder: own, first: first.clone(), last: last.clone() }))
        }
        _ => Err(Failure::new("there is no evaluation on held-out text")),
    }
}

fn create_run(config: &Config, bucket: &Path, key: &Path) -> Result<()> {
    fs::create_dir_all(bucket).with_context(|| format!("cannot create {}", bucket.display()))?;
    let creator = identity(key)?;
    let new_run = NewRun::new(config, ValidatorSet::single(creator.peer()), true)?;
    let connection = Connection::open(&bucket.display().to_string(), &config.comms)?;
    on_runtime(async { new_run.publish(&connection, &creator).await.map(drop) })
}

/// A process of the demo.
struct Process {
    name: String,
    child: Child,
    log: Option<PathBuf>,
}

/// The processes of the demo. Dropping them ends those that still run, after any failure: a peer
/// that cannot start, an error of the system, a panic.
struct Processes(Vec<Process>);

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.0 {
            // A process that has ended already cannot be ended again.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// Starts the validator on all threads: it computes while the peers wait.
fn validator(config: &Config, folder: &Path, bucket: &Path, key: &Path) -> Result<Process> {
    let (output, threads) = (folder.join("validator"), threads(config));
    process(folder, "validator", |command| {
        command.arg("validate").arg(bucket).arg("--key").arg(key).arg("--output").arg(output);
        command
            .arg("--threads")
            .arg(threads.to_string())
            .arg("--set")
            .arg("comms.poll_interval=0.05")
    })
}

fn threads(config: &Config) -> usize {
    config
        .run
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1)
}

fn peer(
    config: &Config,
    folder: &Path,
    bucket: &Path,
    (number, peers): (u32, u32),
) -> Result<Process> {
    let threads = (threads(config) / peers as usize).max(1);
    let name = format!("peer-{number}");
    let output = folder.join(&name);
    process(folder, &name, |command| {
        command
            .arg("join")
            .arg(bucket)
            .arg("--output")
            .arg(output)
            .arg("--threads")
            .arg(threads.to_string());
        // One peer is enough to follow the loss; more evaluations would only take time.
        let every = if number == 1 { "500" } else { "none" };
        command
            .arg("--set")
            .arg(format!("train.eval_every={every}"))
            .arg("--set")
            .arg("comms.poll_interval=0.05")
    })
}

/// Starts a command of this program. The first peer writes to the terminal, the others into a file.
fn process(
    folder: &Path,
    name: &str,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<Process> {
    let program = std::env::current_exe().context("cannot find the program file")?;
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    let log = (name != "peer-1").then(|| folder.join(format!("{name}.log")));
    if let Some(log) = &log {
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdout(Stdio::null()).stderr(file);
    }
    let child = arguments(&mut command).spawn().with_context(|| format!("cannot start {name}"))?;
    Ok(Process { name: name.to_owned(), child, log })
}

/// Waits until all processes have ended.
///
/// # Errors
/// The first process that fails, with its last lines. The others are ended then.
fn watch(mut processes: Processes, interrupt: &AtomicBool) -> Result<()> {
    let mut was_asked = false;
    loop {
        let mut are_running = false;
        for process in &mut processes.0 {
            match process.child.try_wait()? {
                None => are_running = true,
                Some(status) if status.success() => {}
                Some(status) => return Err(failure(process, status)),
            }
        }
        if !are_running {
            return Ok(());
        }
        if is_raised(interrupt) && !was_asked {
            // The terminal sends Ctrl-C to all processes, but other signals reach this process
            // only.
            processes.0.iter().for_each(ask_to_stop);
            was_asked = true;
        }
        std::thread::sleep(SLICE);
    }
}

/// Returns the error of a failed process, with the last lines of its log.
fn failure(process: &Process, status: ExitStatus) -> Failure {
    let Process { name, log, .. } = process;
    let text = log.as_ref().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(5)..].join("\n");
    Failure::new(format!("{name} ended with {status}\n{last}"))
}

#[cfg(unix)]
fn ask_to_stop(process: &Process) {
    // The standard library can only kill a process; the `kill` command can also interrupt it.
    let _ = Command::new("kill").arg("-INT").arg(process.child.id().to_string()).status();
}

#[cfg(not(unix))]
fn ask_to_stop(_process: &Process) {}

/// The evaluations in the metrics of a peer.
fn measured(folder: &Path) -> Result<Vec<EvalReport>> {
    let path = MetricsLog::path_in(folder);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let reports = text.lines().filter_map(|line| match serde_json::from_str(line) {
        Ok(MetricsEntry::Eval(report)) => Some(report),
        _ => None,
    });
    Ok(reports.collect())
}
