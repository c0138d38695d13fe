//! `covey bucket`: serves a folder as a bucket, for runs without an S3 store.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use covey_comms::bucket::location::Secret;
use covey_comms::bucket::server::auth::peer_credentials;
use covey_comms::bucket::server::{Server, ServerOptions};
use covey_comms::primitives::{Keypair, PeerId};

use crate::cli::{BucketCommand, KeyArgs, ServeArgs};
use crate::run::nonce;
use crate::system::error::{Context, Failure, Result, UsageError};
use crate::system::runtime::on_runtime;
use crate::system::signal::is_raised;
use crate::system::terminal::output::{print, say};

/// The access key ID of the administrator.
const ADMIN: &str = "admin";

/// Context of the key derivation. It enters the derived secret, so no other key can equal it.
const ADMIN_CONTEXT: &str = "covey 2026-11-22 secret access key of the administrator";

/// Fewest characters of a secret. The server has the same limit.
const SHORTEST_SECRET: usize = 16;

/// Time between two checks for an interrupt.
const SLICE: Duration = Duration::from_millis(200);

pub(super) fn run(command: &BucketCommand, interrupt: &AtomicBool) -> Result<()> {
    match command {
        BucketCommand::Serve(arguments) => serve(arguments, interrupt),
        BucketCommand::Key(arguments) => key(arguments),
    }
}

fn serve(arguments: &ServeArgs, interrupt: &AtomicBool) -> Result<()> {
    fs::create_dir_all(&arguments.folder)
        .with_context(|| format!("cannot create {}", arguments.folder.display()))?;
    let file = arguments.secret.clone().unwrap_or_else(|| default_secret_file(&arguments.folder));
    let master = if file.exists() { read_secret(&file)? } else { write_secret(&file)? };
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
            "`covey bucket key {}` prints the administrator's keys, with `--peer` those of a peer",
            file.display()
        ));
        // An interrupt lets running requests finish, so no upload is cut off.
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

/// Prints a key pair as shell commands.
fn key(arguments: &KeyArgs) -> Result<()> {
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

/// Returns the peer that `text` names, by its ID or by its key file.
fn peer_of(text: &str) -> Result<PeerId> {
    match text.parse() {
        Ok(peer) => Ok(peer),
        Err(_) if !Path::new(text).exists() => {
            let problem = UsageError::new(format!("`{text}` is neither a peer ID nor a key file"));
            Err(problem
                .with_hint("run `covey id FILE` on the peer's machine to print its ID")
                .into())
        }
        Err(_) => Ok(Keypair::load(Path::new(text))?.peer()),
    }
}

fn admin(master: &Secret) -> (String, Secret) {
    let secret = blake3::Hash::from(blake3::derive_key(ADMIN_CONTEXT, master.reveal().as_bytes()));
    (ADMIN.to_owned(), Secret::new(secret.to_hex().as_str()))
}

/// The default secret of folder `shared/` is `shared.secret`, outside of the served files.
fn default_secret_file(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or(folder.as_os_str()).to_owned();
    name.push(".secret");
    folder.with_file_name(name)
}

fn read_secret(file: &Path) -> Result<Secret> {
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let problem = UsageError::new(format!("secret file {} does not exist", file.display()));
            problem.with_hint("use the path that `covey bucket serve` printed").into()
        }
        _ => Failure::from(error).context(format!("cannot read {}", file.display())),
    })?;
    match text.trim() {
        // A truncated file must not become a weak secret.
        text if text.len() < SHORTEST_SECRET => {
            let problem = UsageError::new(format!(
                "secret file {} has fewer than {SHORTEST_SECRET} characters",
                file.display()
            ));
            Err(problem
                .with_hint("restore it from a copy; with a new one, every peer needs new keys")
                .into())
        }
        text => Ok(Secret::new(text)),
    }
}

/// Writes a new secret into a file that only its owner can read.
fn write_secret(file: &Path) -> Result<Secret> {
    let text = nonce()?.to_string();
    let mut options = OpenOptions::new();
    // `create_new`: of two servers that start together, one fails instead of using another secret.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut file| {
        file.write_all(format!("{text}\n").as_bytes())?;
        // On disk before its first use: without the secret, no key can be derived again.
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Secret::new(text))
}
