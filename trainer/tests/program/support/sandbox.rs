//! A temporary folder in which the program runs, and the outcome of a run.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::fixtures::fixtures;

/// Exit code of errors in the command line or the configuration.
pub(crate) const USAGE: i32 = 2;
/// Exit code of all other errors.
pub(crate) const FAILURE: i32 = 1;

/// A model that trains within milliseconds. Every step is logged, so all steps can be compared.
pub(crate) const SMALL: &[&str] = &[
    "--threads=2",
    "--set=model.hidden_size=32",
    "--set=model.intermediate_size=48",
    "--set=model.num_hidden_layers=2",
    "--set=model.num_attention_heads=4",
    "--set=model.num_key_value_heads=2",
    "--set=data.sequence_length=32",
    "--set=data.held_out_windows=4",
    "--set=train.batch_size=8",
    "--set=train.micro_batch_size=4",
    "--set=train.log_every=1",
    "--set=train.eval_every=10",
    "--set=optim.learning_rate=4e-3",
];

/// A temporary current folder. Messages therefore contain the same short paths on every machine.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A sandbox with copies of these [`fixtures`].
    pub(crate) fn with(names: &[&str]) -> Self {
        let sandbox = Self::empty();
        for (path, bytes) in
            fixtures().iter().filter(|(path, _)| names.iter().any(|name| path.starts_with(name)))
        {
            sandbox.write(path, bytes);
        }
        sandbox
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Flips one bit of a file.
    pub(crate) fn flip(&self, name: &str, offset: usize) {
        let mut bytes = self.read(name);
        bytes[offset] ^= 1;
        self.write(name, bytes);
    }

    /// Cuts a file to half its length.
    pub(crate) fn truncate(&self, name: &str) {
        let bytes = self.read(name);
        self.write(name, &bytes[..bytes.len() / 2]);
    }

    /// The program in this folder, without variables from the environment of the tests.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = clean(Command::new(env!("CARGO_BIN_EXE_covey")), self.folder.path());
        command.args(arguments);
        command
    }

    /// The program with a limit on file sizes, in blocks of 512 or 1024 bytes: it fails like a full
    /// disk, without special permissions.
    pub(crate) fn covey_with_file_limit(&self, blocks: u32, arguments: &[&str]) -> ProgramOutput {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut shell = clean(Command::new("sh"), self.folder.path());
        shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_covey")).args(arguments);
        ProgramOutput::new(shell.output().unwrap())
    }

    /// Runs the program until it ends.
    pub(crate) fn covey(&self, arguments: &[&str]) -> ProgramOutput {
        ProgramOutput::new(self.command(arguments).output().unwrap())
    }

    /// Runs the program and requires exit code 0.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> ProgramOutput {
        let printed = self.covey(arguments);
        assert_eq!(printed.code, Some(0), "{arguments:?}\n{}", printed.stderr);
        printed
    }

    /// `covey train` of the small model on `data`.
    pub(crate) fn train(&self, arguments: &[&str]) -> ProgramOutput {
        self.covey(&training(arguments))
    }
}

/// The arguments that train the small model on `data`.
pub(crate) fn training<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--data=data"], SMALL, arguments].concat()
}

fn clean(mut command: Command, folder: &Path) -> Command {
    for name in std::env::vars_os().map(|(name, _)| name).filter(|name: &OsString| {
        ["COVEY_", "AWS_", "OWN_AWS_"].iter().any(|start| name.to_string_lossy().starts_with(start))
    }) {
        command.env_remove(name);
    }
    command.env_remove("COLUMNS").env("NO_COLOR", "1").current_dir(folder).stdin(Stdio::null());
    command
}

/// The output of the program and its exit code.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    /// None if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl ProgramOutput {
    pub(crate) fn new(output: Output) -> Self {
        let printed = Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!printed.stderr.contains("panicked"), "{}", printed.stderr);
        printed
    }

    /// All lines on stderr, after checks of the exit code and that stdout is empty.
    ///
    /// Progress lines of steps and rounds are removed; digests, process IDs and seconds are masked.
    pub(crate) fn complaint(&self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
        let is_progress = |line: &&str| {
            ["step ", "round ", "preparing "].iter().any(|start| line.starts_with(start))
        };
        self.stderr
            .lines()
            .filter(|line| !is_progress(line))
            .map(|line| masked(line) + "\n")
            .collect()
    }
}

/// The line without values that differ between two runs of the tests.
fn masked(line: &str) -> String {
    let words = line.split_inclusive(|letter: char| !letter.is_alphanumeric());
    let mut masked = String::new();
    for word in words {
        let bare = word.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        let is_hash = bare.len() == 64 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
        let is_seconds = masked.ends_with('(')
            && bare.strip_suffix('s').is_some_and(|count| count.parse::<u32>().is_ok());
        masked += &match () {
            () if is_hash => word.replace(bare, "HASH"),
            () if is_number && masked.ends_with(".partial-") => word.replace(bare, "PID"),
            () if is_seconds => word.replace(bare, "TIME"),
            () => word.to_owned(),
        };
    }
    masked
}

/// The text with lines of at most 88 characters: snapshots stay within 100 columns of the source.
pub(crate) fn folded(text: &str) -> String {
    text.lines().map(|line| folded_line(line) + "\n").collect()
}

fn folded_line(line: &str) -> String {
    let mut folded = String::new();
    let mut rest = line;
    let mut width = 88;
    while let Some((index, letter)) = rest.char_indices().nth(width) {
        let head = &rest[..index + letter.len_utf8()];
        let Some(space) = head.rfind(' ').filter(|cut| !rest[..*cut].trim().is_empty()) else {
            break;
        };
        folded += &format!("{}\n    ", &rest[..space]);
        rest = &rest[space + 1..];
        width = 84;
    }
    folded + rest
}

#[test]
fn only_variable_parts_are_masked() {
    let hash = "0123456789abcdef".repeat(4);
    let line =
        format!("cannot write a/step-00000005.partial-1605/x: {hash}, expected {hash} (12s)");
    assert_eq!(
        masked(&line),
        "cannot write a/step-00000005.partial-PID/x: HASH, expected HASH (TIME)"
    );
}
