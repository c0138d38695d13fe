//! Names of checkpoint folders and of the files in them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::error::CheckpointError;
use super::tensor_files::EXTENSION;

/// The list of all other files, written last.
pub(super) const MANIFEST: &str = "manifest.json";
/// The model configuration in the format of the Hub.
pub(super) const MODEL_CONFIG: &str = "config.json";
/// The resolved configuration of the run.
pub(super) const RUN_CONFIG: &str = "run.toml";
/// The state of the training loop.
pub(super) const STATE: &str = "state.json";
/// Stem of the weight files; `transformers` requires this name.
pub(super) const WEIGHTS: &str = "model";
/// Stem of the files with optimizer moments.
pub(super) const OPTIMIZER: &str = "optimizer";
/// Stem of the files with error feedback.
pub(super) const ERROR_FEEDBACK: &str = "error-feedback";

const PREFIX: &str = "step-";
const PARTIAL: &str = ".partial-";
const DISCARDED: &str = ".discarded-";
const SET_ASIDE: &str = ".set-aside-";

/// Returns true if this module writes a file of this name, so it cannot be an extra file.
pub(super) fn is_own(name: &str) -> bool {
    [MANIFEST, MODEL_CONFIG, RUN_CONFIG, STATE].contains(&name) || name.contains(EXTENSION)
}

/// The folder of all checkpoints of a run.
pub(super) fn checkpoints_folder(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

/// Name of the checkpoint after `step` steps; names sort like steps up to 99,999,999.
pub(super) fn folder_name(step: u64) -> String {
    format!("{PREFIX}{step:08}")
}

/// Name of the checkpoint while this process writes it.
///
/// The process id keeps two processes apart on file systems without locks.
pub(super) fn partial_name(step: u64) -> String {
    format!("{}{PARTIAL}{}", folder_name(step), std::process::id())
}

/// Name of the checkpoint while this process removes it.
pub(super) fn discarded_name(step: u64) -> String {
    format!("{}{DISCARDED}{}", folder_name(step), std::process::id())
}

/// Name number `number`, from 1, of a checkpoint that is kept but no longer part of the run.
///
/// It is neither a checkpoint for [`step_of`] nor a leftover: it is never read and never removed.
pub(super) fn set_aside_name(step: u64, number: u64) -> String {
    format!("{}{SET_ASIDE}{number}", folder_name(step))
}

/// Parses the name of a complete checkpoint; `None` for all other names.
pub(super) fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix(PREFIX)?.parse().ok()?;
    // `parse` also accepts a sign and any number of zeros; only our own spelling is a checkpoint.
    (folder_name(step) == name).then_some(step)
}

/// The names in `folder`; empty if the folder does not exist.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    try_names_in(folder).map_err(|source| CheckpointError::io("read", folder, source))
}

fn try_names_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    // This module writes ASCII names only, so names that are not Unicode belong to other programs.
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(io::Result::transpose).collect()
}

/// The steps of all complete checkpoints in `folder`, ascending.
pub(super) fn steps_in(folder: &Path) -> Result<Vec<u64>, CheckpointError> {
    let mut steps: Vec<_> = names_in(folder)?.iter().filter_map(|name| step_of(name)).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Returns true if a folder of this name is left over from a crash during a save or removal.
pub(super) fn is_leftover(name: &str) -> bool {
    [PARTIAL, DISCARDED].iter().any(|mark| {
        name.split_once(mark).is_some_and(|(checkpoint, _)| step_of(checkpoint).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_complete_or_a_leftover_or_ignored() {
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
            &set_aside_name(40, 1),
        ] {
            assert!(!is_leftover(other) && step_of(other).is_none(), "{other}");
        }
    }

    #[test]
    fn names_sort_like_steps() {
        assert!(folder_name(9) < folder_name(10) && folder_name(99_999) < folder_name(100_000));
    }
}
