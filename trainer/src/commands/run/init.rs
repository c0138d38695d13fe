//! `covey init`: a run that others can join.

use std::collections::BTreeSet;
use std::path::PathBuf;

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
use crate::system::error::UsageError;
use crate::system::runtime::on_runtime;
use crate::system::terminal::output::{print, say};

pub(crate) fn run(arguments: &InitArgs) -> anyhow::Result<()> {
    let config = config::resolve(config::layers(&arguments.config), Purpose::Train)?.config;
    device::use_threads(config.run.threads)?;
    let key = arguments.key.clone().unwrap_or_else(|| validator_key(&config.run.name));
    let creator = identity(&key)?;
    let validator_set = validator_set(creator.peer(), &arguments.validators, arguments.threshold)?;
    make_folder(&arguments.bucket)?;
    let connection = Connection::open(&arguments.bucket, &config.comms)?;
    let run: Run = on_runtime(async {
        refuse_read_only(&connection, &arguments.bucket, None).await?;
        let foundation = NewRun::new(&config, validator_set.clone(), !arguments.without_data)?;
        foundation.publish(&connection, &creator).await
    })?;
    say(&format!(
        "run {} is in {}; its first validator's key is {}",
        run.id(),
        arguments.bucket,
        key.display()
    ));
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
    print(&format!("{}\n", run.id()))
}

/// The founder and the others who were named; more than half of them, if nobody says how many.
fn validator_set(
    creator: PeerId,
    others: &[PeerId],
    threshold: Option<u32>,
) -> Result<ValidatorSet, UsageError> {
    let validators: BTreeSet<PeerId> = others.iter().copied().chain([creator]).collect();
    let count = validators.len() as u32;
    let threshold = threshold.unwrap_or(count / 2 + 1);
    ValidatorSet::new(validators, threshold).ok_or_else(|| {
        let problem = UsageError::new(format!("{threshold} of {count} validators are no quorum"));
        let rule = format!(
            "more than half of them must agree, and there are at most {}",
            ValidatorSet::MAX
        );
        problem.with_hint(format!("{rule}; use `--threshold {}`", count / 2 + 1))
    })
}

/// Where the key of a validator of a run lies unless somebody says otherwise.
pub(super) fn validator_key(name: &str) -> PathBuf {
    PathBuf::from("runs").join(name).join("validator.key")
}

/// A folder that is to become a bucket need not be there.
fn make_folder(bucket: &str) -> anyhow::Result<()> {
    if let Location::Folder(path) = bucket.parse()? {
        std::fs::create_dir_all(&path)
            .map_err(|error| anyhow::anyhow!("cannot create {}: {error}", path.display()))?;
    }
    Ok(())
}
