//! `covey init`: a run that others can join.

use std::path::PathBuf;

use covey_comms::{Location, Run};

use super::join::refuse_read_only;
use super::{config, on_runtime, print, say};
use crate::cli::InitArgs;
use crate::common_run::connection::{Connection, identity};
use crate::common_run::founding::Foundation;
use crate::config::Purpose;
use crate::device;

pub(super) fn run(arguments: &InitArgs) -> anyhow::Result<()> {
    let config = config::layers(&arguments.config).resolve(Purpose::Train)?.config;
    device::use_threads(config.run.threads)?;
    let key = arguments.key.clone().unwrap_or_else(|| coordinator_key(&config.run.name));
    let coordinator = identity(&key)?;
    make_folder(&arguments.bucket)?;
    let connection = Connection::open(&arguments.bucket, &config.comms)?;
    let run: Run = on_runtime(async {
        refuse_read_only(&connection, &arguments.bucket, None).await?;
        let foundation = Foundation::new(&config, &coordinator, !arguments.without_data)?;
        foundation.publish(&connection, &coordinator).await
    })?;
    say(&format!("run {} is in {}; its coordinator's key is {}", run.id(), arguments.bucket, key.display()));
    say(&format!("next: `covey coordinate {0}`, and `covey join {0}` on every machine", arguments.bucket));
    print(&format!("{}\n", run.id()))
}

/// Where the key of the coordinator of a run lies unless somebody says otherwise.
pub(super) fn coordinator_key(name: &str) -> PathBuf {
    PathBuf::from("runs").join(name).join("coordinator.key")
}

/// A folder that is to become a bucket need not be there.
fn make_folder(bucket: &str) -> anyhow::Result<()> {
    if let Location::Folder(path) = bucket.parse()? {
        std::fs::create_dir_all(&path).map_err(|error| anyhow::anyhow!("cannot create {}: {error}", path.display()))?;
    }
    Ok(())
}
