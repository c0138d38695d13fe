//! `covey init`: creates a distributed run in a bucket.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use covey_comms::agreement::ValidatorSet;
use covey_comms::bucket::location::Location;
use covey_comms::primitives::PeerId;
use covey_comms::run::Run;

use super::join::refuse_read_only;
use crate::cli::InitArgs;
use crate::commands::machine::config;
use crate::config::layers::Purpose;
use crate::run::{Connection, NewRun, identity};
use crate::system::device;
use crate::system::error::{Failure, Result, UsageError};
use crate::system::runtime::on_runtime;
use crate::system::terminal::output::{print, say};

pub(crate) fn run(arguments: &InitArgs) -> Result<()> {
    let config = config::resolve(config::layers(&arguments.config), Purpose::Train)?.config;
    device::use_threads(config.run.threads)?;
    let key = arguments.key.clone().unwrap_or_else(|| validator_key(&config.run.name));
    let creator = identity(&key)?;
    let validator_set = validator_set(creator.peer(), &arguments.validators, arguments.threshold)?;
    make_folder(&arguments.bucket)?;
    let connection = Connection::open(&arguments.bucket, &config.comms)?;
    let run: Run = on_runtime(async {
        // Checked first, because preparing the parts reads all data.
        refuse_read_only(&connection, &arguments.bucket, None).await?;
        let new_run = NewRun::new(&config, validator_set, !arguments.without_data)?;
        new_run.publish(&connection, &creator).await
    })?;
    report(&run, arguments, &key);
    print(&format!("{}\n", run.id()))
}

/// Prints the run, its validator set, and the next commands. Stdout gets only the run ID, for
/// scripts.
fn report(run: &Run, arguments: &InitArgs, key: &Path) {
    say(&format!(
        "created run {} in {}; key file of its first validator: {}",
        run.id(),
        arguments.bucket,
        key.display()
    ));
    let validator_set = &run.description().validator_set;
    if validator_set.validators().len() > 1 {
        say(&format!(
            "{} of its {} validators must agree",
            validator_set.threshold(),
            validator_set.validators().len()
        ));
    }
    say(&format!(
        "next: `covey validate {0}`, and `covey join {0}` on every machine",
        arguments.bucket
    ));
}

/// Returns the set of the creator and the other named validators. Without `threshold`, more than
/// half of them must agree.
fn validator_set(
    creator: PeerId,
    others: &[PeerId],
    threshold: Option<u32>,
) -> Result<ValidatorSet, UsageError> {
    let validators: BTreeSet<PeerId> = others.iter().copied().chain([creator]).collect();
    let count = validators.len() as u32;
    // Two sets of more than half share a validator, so two outcomes of a round cannot both win.
    let threshold = threshold.unwrap_or(count / 2 + 1);
    ValidatorSet::new(validators, threshold).ok_or_else(|| {
        let problem =
            UsageError::new(format!("{threshold} of {count} validators are not a quorum"));
        let rule = format!(
            "more than half must agree, and a set has at most {} validators",
            ValidatorSet::MAX
        );
        problem.with_hint(format!("use `--threshold {}`; {rule}", count / 2 + 1))
    })
}

/// The default key file of a validator of run `name`.
pub(super) fn validator_key(name: &str) -> PathBuf {
    PathBuf::from("runs").join(name).join("validator.key")
}

/// Creates the folder if the bucket is a folder.
fn make_folder(bucket: &str) -> Result<()> {
    if let Location::Folder(path) = bucket.parse()? {
        std::fs::create_dir_all(&path)
            .map_err(|error| Failure::new(format!("cannot create {}: {error}", path.display())))?;
    }
    Ok(())
}
