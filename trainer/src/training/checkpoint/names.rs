//! Names of checkpoint folders and of the files in them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::error::CheckpointError;
use super::tensor_files::EXTENSION;

/// Lists every other file; written last.
pub(super) const MANIFEST: &str = "manifest.json";
/// The network's shape, as the Hub writes it.
pub(super) const MODEL_CONFIG: &str = "config.json";
/// The run's resolved configuration.
pub(super) const RUN_CONFIG: &str = "run.toml";
/// The training loop's own state.
pub(super) const STATE: &str = "state.json";
/// Stem of the weight files.
pub(super) const WEIGHTS: &str = "model";
/// Stem of the files of moments.
pub(super) const OPTIMIZER: &str = "optimizer";
/// Stem of the files of error feedback.
pub(super) const ERROR_FEEDBACK: &str = "error-feedback";

const PREFIX: &str = "step-";
const PARTIAL: &str = ".partial-";
const DISCARDED: &str = ".discarded-";

/// Whether a file of this name in a checkpoint is made by this module rather than brought along.
pub(super) fn is_own(name: &str) -> bool {
    [MANIFEST, MODEL_CONFIG, RUN_CONFIG, STATE].contains(&name) || name.contains(EXTENSION)
}

/// The folder of all checkpoints of a run.
pub(super) fn checkpoints_folder(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

/// Name of the checkpoint made after `step` steps; sorts like the number.
pub(super) fn folder_name(step: u64) -> String {
    format!("{PREFIX}{step:08}")
}

/// Name of the same checkpoint while this process is building it.
pub(super) fn partial_name(step: u64) -> String {
    format!("{}{PARTIAL}{}", folder_name(step), std::process::id())
}

/// Name of the same checkpoint while this process is removing it.
pub(super) fn discarded_name(step: u64) -> String {
    format!("{}{DISCARDED}{}", folder_name(step), std::process::id())
}

/// The step in the name of a whole checkpoint; `None` for every other name.
pub(super) fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix(PREFIX)?.parse().ok()?;
    (folder_name(step) == name).then_some(step)
}

/// The names in `folder`; none if it does not exist.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let unreadable = |source| CheckpointError::io("read", folder, source);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    // Names that are not Unicode are not ours.
    let names = entries
        .map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).map_err(unreadable));
    names.filter_map(Result::transpose).collect()
}

/// The steps of all whole checkpoints in `folder`, ascending.
pub(super) fn steps_in(folder: &Path) -> Result<Vec<u64>, CheckpointError> {
    let mut steps: Vec<_> = names_in(folder)?.iter().filter_map(|name| step_of(name)).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Whether a folder of this name is what a crash or a removal left behind.
pub(super) fn is_leftover(name: &str) -> bool {
    [PARTIAL, DISCARDED].iter().any(|mark| {
        name.split_once(mark).is_some_and(|(checkpoint, _)| step_of(checkpoint).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_either_whole_or_a_leftover_or_not_ours() {
        assert_eq!(step_of(&folder_name(40)), Some(40));
        assert_eq!(step_of(&folder_name(1_234_567_890)), Some(1_234_567_890));
        for leftover in [partial_name(40), discarded_name(40)] {
            assert!(is_leftover(&leftover) && step_of(&leftover).is_none(), "{leftover}");
        }
        for other in [
            "step-40",
            "step-",
            "step-+0000040",
            "notes",
            "notes.partial-7",
            ".lock",
            "step-00000040.bak",
        ] {
            assert!(!is_leftover(other) && step_of(other).is_none(), "{other}");
        }
    }

    #[test]
    fn names_sort_like_steps() {
        assert!(folder_name(9) < folder_name(10) && folder_name(99_999) < folder_name(100_000));
    }
}
