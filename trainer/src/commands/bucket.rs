//! `covey bucket`: a bucket for others, where there is no S3.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use covey_comms::bucket::location::Secret;
use covey_comms::bucket::server::auth::peer_credentials;
use covey_comms::bucket::server::{Server, ServerOptions};
use covey_comms::primitives::{Keypair, PeerId};

use crate::cli::{BucketCommand, KeyArgs, ServeArgs};
use crate::run::nonce;
use crate::system::error::UsageError;
use crate::system::runtime::on_runtime;
use crate::system::signal::is_raised;
use crate::system::terminal::output::{print, say};

/// The access key id of whoever runs the server.
const ADMIN: &str = "admin";

/// What the administrator's secret is for; part of it, so that it is good for nothing else.
const ADMIN_CONTEXT: &str = "covey 2026-11-22 secret access key of the administrator";

/// Characters that a secret has at least; the server asks for no fewer.
const SHORTEST_SECRET: usize = 16;

/// How often the server looks whether it was asked to stop.
const SLICE: Duration = Duration::from_millis(200);

pub(super) fn run(command: &BucketCommand, interrupt: &AtomicBool) -> anyhow::Result<()> {
    match command {
        BucketCommand::Serve(arguments) => serve(arguments, interrupt),
        BucketCommand::Key(arguments) => key(arguments),
    }
}

fn serve(arguments: &ServeArgs, interrupt: &AtomicBool) -> anyhow::Result<()> {
    fs::create_dir_all(&arguments.folder)
        .with_context(|| format!("cannot create {}", arguments.folder.display()))?;
    let file = arguments.secret.clone().unwrap_or_else(|| secret_beside(&arguments.folder));
    let master = match file.exists() {
        true => read_secret(&file)?,
        false => write_secret(&file)?,
    };
    let options = ServerOptions {
        bucket: arguments.bucket.clone(),
        admin: admin(&master),
        master,
        peers: None,
        validators: arguments.validator.iter().copied().collect(),
        public_read: arguments.public_read,
        max_object: arguments.max_object_size,
    };
    let server = Server::folder(&arguments.folder, options)?;
    on_runtime(async {
        let bound = server.bind(arguments.address).await?;
        let url = format!("s3://{}?endpoint=http://{}", arguments.bucket, bound.address());
        say(&format!("serving {} as {url}", arguments.folder.display()));
        say(&format!(
            "`covey bucket key {}` prints the administrator's keys, `--peer` those of a peer",
            file.display()
        ));
        bound.serve(until_raised(interrupt)).await;
        say("stopped serving");
        Ok(())
    })
}

async fn until_raised(interrupt: &AtomicBool) {
    while !is_raised(interrupt) {
        tokio::time::sleep(SLICE).await;
    }
}

/// Prints a pair as a shell takes it.
fn key(arguments: &KeyArgs) -> anyhow::Result<()> {
    let master = read_secret(&arguments.secret)?;
    let (id, secret) = match &arguments.peer {
        Some(peer) => peer_credentials(&master, peer_of(peer)?),
        None => admin(&master),
    };
    print(&format!(
        "export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={}\n",
        secret.reveal()
    ))
}

/// A peer by its id, or by the file of its key.
fn peer_of(text: &str) -> anyhow::Result<PeerId> {
    match text.parse() {
        Ok(peer) => Ok(peer),
        Err(_) if !Path::new(text).exists() => {
            let problem =
                UsageError::new(format!("`{text}` is neither the id of a peer nor its key file"));
            Err(problem.with_hint("`covey join` tells a peer its id when it is not let in").into())
        }
        Err(_) => Ok(Keypair::load(Path::new(text))?.peer()),
    }
}

fn admin(master: &Secret) -> (String, Secret) {
    let secret = blake3::Hash::from(blake3::derive_key(ADMIN_CONTEXT, master.reveal().as_bytes()));
    (ADMIN.to_owned(), Secret::new(secret.to_hex().as_str()))
}

/// `shared/` is served with `shared.secret`: outside of what is served.
fn secret_beside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or(folder.as_os_str()).to_owned();
    name.push(".secret");
    folder.with_file_name(name)
}

fn read_secret(file: &Path) -> anyhow::Result<Secret> {
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let problem = UsageError::new(format!("there is no secret in {}", file.display()));
            problem
                .with_hint("`covey bucket serve` makes it; name it with the path that it printed")
                .into()
        }
        _ => anyhow::Error::from(error).context(format!("cannot read {}", file.display())),
    })?;
    match text.trim() {
        text if text.len() < SHORTEST_SECRET => {
            let problem = UsageError::new(format!(
                "{} holds no secret of {SHORTEST_SECRET} characters",
                file.display()
            ));
            Err(problem
                .with_hint("restore it from a copy; with a new one, every peer needs new keys")
                .into())
        }
        text => Ok(Secret::new(text)),
    }
}

/// A new secret in a file that only its owner can read.
fn write_secret(file: &Path) -> anyhow::Result<Secret> {
    let text = nonce()?.to_string();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut file| {
        file.write_all(format!("{text}\n").as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Secret::new(text))
}
