//! `covey bucket serve` and `covey bucket key`: a bucket for a few machines, with a key pair for
//! each.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use insta::assert_snapshot;

use crate::distributed::peers::{
    creation, digests, finish, joining, num_rounds, sandbox_with_keys, validating,
};
use crate::support::sandbox::{FAILURE, ProgramOutput, Sandbox, USAGE, folded};
use crate::support::trained::Running;

/// A key pair as environment variables.
type Keys = Vec<(String, String)>;

/// A folder that is served as a bucket.
struct Served {
    sandbox: Sandbox,
    server: Running,
    url: String,
}

impl Served {
    fn start(more: &[&str]) -> Self {
        let sandbox = sandbox_with_keys(&["data"]);
        let arguments = [&["bucket", "serve", "shared", "--address=127.0.0.1:0"], more].concat();
        let mut server = Running::start_named(&sandbox, "server", sandbox.command(&arguments));
        server.wait_until(|| stderr_of_server(&sandbox).lines().count() >= 2);
        let line = stderr_of_server(&sandbox).lines().next().unwrap().to_owned();
        let url = line.strip_prefix("serving shared as ").unwrap().to_owned();
        Self { sandbox, server, url }
    }

    /// The variables that `covey bucket key` prints.
    fn keys(&self, more: &[&str]) -> Keys {
        let text =
            self.sandbox.succeed(&[&["bucket", "key", "shared.secret"], more].concat()).stdout;
        text.lines()
            .map(|line: &str| {
                let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            })
            .collect()
    }

    fn keys_of(&self, peer: &str) -> Keys {
        self.keys(&["--peer", &format!("{peer}/peer.key")])
    }

    fn command(&self, arguments: &[&str], keys: &Keys) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.envs(keys.iter().map(|(name, value)| (name, value)));
        command
    }

    fn covey(&self, arguments: &[&str], keys: &Keys) -> ProgramOutput {
        ProgramOutput::new(self.command(arguments, keys).output().unwrap())
    }

    fn peer(&self, name: &str, keys: &Keys) -> Running {
        Running::start_named(
            &self.sandbox,
            name,
            self.command(&joining(&self.url, name, &[]), keys),
        )
    }

    /// The error message of a command, without the port of this test and the answers of the server.
    fn complaint(&self, arguments: &[&str], keys: &Keys, code: i32) -> String {
        let complaint = self.covey(arguments, keys).complaint(code).replace(&self.url, "URL");
        complaint
            .lines()
            .filter(|line| !line.starts_with("  caused by: "))
            .map(|line| line.to_owned() + "\n")
            .collect()
    }

    /// Creates the run as administrator.
    fn create(&self) -> Keys {
        let admin = self.keys(&[]);
        let printed = self.covey(&creation(&self.url, &[]), &admin);
        assert_eq!(printed.code, Some(0), "{}", printed.stderr);
        admin
    }
}

fn stderr_of_server(sandbox: &Sandbox) -> String {
    String::from_utf8(sandbox.read("server.stderr")).unwrap()
}

#[test]
fn peers_with_separate_keys_train_one_model() {
    let mut served = Served::start(&[]);
    let admin = served.create();
    let validator = served.command(&validating(&served.url, &[]), &admin);
    let validator = Running::start_named(&served.sandbox, "validator", validator);
    let peers = ["peer-1", "peer-2"].map(|name| served.peer(name, &served.keys_of(name)));
    finish([validator].into_iter().chain(peers));
    let [one, two] = ["peer-1", "peer-2"].map(|name| digests(&served.sandbox.path(name)));
    assert_eq!((one.len(), &one), (7, &two));

    let status = served.covey(&["status", &served.url], &served.keys_of("peer-3"));
    assert!(status.stdout.contains("6 of 6 outer steps"), "{status:?}");
    served.server.signal("INT");
    let printed = served.server.end().complaint(0).replace(&served.url, "URL");
    assert_snapshot!(printed, @r"
    serving shared as URL
    `covey bucket key shared.secret` prints the administrator's keys, with `--peer` those of a peer
    stopping cleanly; press Ctrl-C again to stop at once
    stopped serving
    ");
}

#[test]
fn the_secret_is_readable_by_its_owner_only() {
    let served = Served::start(&[]);
    let mode =
        std::fs::metadata(served.sandbox.path("shared.secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = String::from_utf8(served.sandbox.read("shared.secret")).unwrap();
    let printed = String::from_utf8(served.sandbox.read("server.stderr")).unwrap();
    assert!(!printed.contains(secret.trim()), "{printed}");
    let keys = [served.keys(&[]), served.keys_of("peer-1"), served.keys_of("peer-2")];
    assert_eq!(keys[1], served.keys_of("peer-1"));
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
    assert!(keys.iter().flatten().all(|(_, value)| !value.contains(secret.trim())));
}

#[test]
fn the_key_of_another_peer_is_denied() {
    let served = Served::start(&[]);
    served.create();
    let complaint =
        served.complaint(&joining(&served.url, "peer-2", &[]), &served.keys_of("peer-1"), FAILURE);
    assert_snapshot!(complaint, @r"
    taking part as HASH in peer-2
    error: no permission for peers/HASH/hello
    hint: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the permissions of the key
    ");
    assert!(
        !String::from_utf8(served.sandbox.read("peer-2/metrics.jsonl"))
            .unwrap()
            .contains("\"kind\":\"step\"")
    );
    let files = crate::support::fixtures::files_below(&served.sandbox.path("shared"));
    assert!(!files.keys().any(|path| path.starts_with("peers")), "a join request was published");
}

#[test]
fn peer_keys_cannot_create_or_validate_a_run() {
    let served = Served::start(&[]);
    let own = served.keys_of("peer-1");
    assert_snapshot!(served.complaint(&creation(&served.url, &[]), &own, FAILURE), @r"
    error: no permission for run/parts/HASH
    hint: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the permissions of the key
    ");
    served.create();
    let complaint = served.complaint(&validating(&served.url, &[]), &own, USAGE);
    assert_snapshot!(complaint, @r"
    error: the access keys in use cannot write manifests in URL
    hint: use the access keys of the run's creator
    ");
}

#[test]
fn access_without_keys_is_denied() {
    let served = Served::start(&[]);
    served.create();
    let shown = served.complaint(&joining(&served.url, "peer-1", &[]), &Keys::new(), USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: access to URL is denied
    hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that allow reading; this
        machine is peer HASH
    ");
    let half = vec![("AWS_ACCESS_KEY_ID".to_owned(), "admin".to_owned())];
    let shown = served.complaint(&joining(&served.url, "peer-1", &[]), &half, USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: access to the bucket is misconfigured: AWS_ACCESS_KEY_ID is set, but
        AWS_SECRET_ACCESS_KEY is not
    ");
    let wrong = [half, vec![("AWS_SECRET_ACCESS_KEY".to_owned(), "guessed".to_owned())]].concat();
    let shown = served.complaint(&joining(&served.url, "peer-1", &[]), &wrong, USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: access to URL is denied
    hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that allow reading; this
        machine is peer HASH
    ");
}

/// Missing write permission is reported at once by every command.
#[test]
fn a_read_only_bucket_is_rejected_at_once() {
    let served = Served::start(&["--public-read"]);
    assert_snapshot!(served.complaint(&creation(&served.url, &[]), &Keys::new(), USAGE), @r"
    error: URL can be read but not written
    hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that allow writing
    ");
    served.create();
    let shown = served.complaint(&joining(&served.url, "peer-1", &[]), &Keys::new(), USAGE);
    assert_snapshot!(folded(&shown), @r"
    error: URL can be read but not written
    hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that allow writing; this
        machine is peer HASH
    ");
    assert_snapshot!(served.complaint(&validating(&served.url, &[]), &Keys::new(), USAGE), @r"
    error: URL can be read but not written
    hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that allow writing
    ");
    let keyless =
        [served.keys_of("peer-1"), vec![("OWN_AWS_REGION".to_owned(), "here".to_owned())]].concat();
    let own = joining(&served.url, "peer-1", &["--own-bucket", &served.url]);
    assert_snapshot!(served.complaint(&own, &keyless, USAGE), @r"
    error: URL can be read but not written
    hint: set OWN_AWS_ACCESS_KEY_ID and OWN_AWS_SECRET_ACCESS_KEY to keys that allow writing
    ");
    let status = served.covey(&["status", &served.url], &Keys::new());
    assert!(status.stdout.contains("0 of 6 outer steps"), "{status:?}");
    assert_eq!(num_rounds(&served.sandbox.path("peer-1")), 0);
    assert!(!served.sandbox.has("peer-1/data"));
}

#[test]
fn an_unreachable_server() {
    let served = Served::start(&[]);
    let admin = served.create();
    let Served { sandbox, server, url } = served;
    server.kill();
    let mut command = sandbox.command(&joining(&url, "peer-1", &["--set=comms.retry_timeout=1"]));
    let printed = ProgramOutput::new(command.envs(admin).output().unwrap()).complaint(FAILURE);
    let (address, port) = url.rsplit_once(':').unwrap();
    let port = port.trim_end_matches('/');
    assert!(address.ends_with("127.0.0.1"));
    let first = printed.lines().next().unwrap().split(" after ").next().unwrap().to_owned();
    let hint = printed.lines().last().unwrap().to_owned();
    assert_snapshot!(format!("{first}\n{hint}").replace(port, "PORT"), @r"
    error: gave up on run/description
    hint: check the endpoint and the network
    ");
}

#[test]
fn a_bucket_that_cannot_be_served() {
    let served = Served::start(&[]);
    let address = format!("--address={}", served.url.rsplit_once("http://").unwrap().1);
    let again = served.sandbox.covey(&["bucket", "serve", "other", &address]).complaint(FAILURE);
    assert_snapshot!(again.replace(address.trim_start_matches("--address="), "ADDRESS"), @r"
    error: cannot listen on ADDRESS
      caused by: Address already in use (os error 98)
    hint: choose another port, or an address of this machine
    ");
    let sandbox = Sandbox::empty();
    assert_snapshot!(sandbox.covey(&["bucket", "key", "shared.secret"]).complaint(USAGE), @r"
    error: secret file shared.secret does not exist
    hint: use the path that `covey bucket serve` printed
    ");
    sandbox.write("short.secret", "abc\n");
    let shown =
        sandbox.covey(&["bucket", "serve", "shared", "--secret=short.secret"]).complaint(USAGE);
    assert_snapshot!(shown, @r"
    error: secret file short.secret has fewer than 16 characters
    hint: restore it from a copy; with a new one, every peer needs new keys
    ");
    sandbox.write("file", "");
    assert_snapshot!(sandbox.covey(&["bucket", "serve", "file"]).complaint(FAILURE), @r"
    error: cannot create file
      caused by: File exists (os error 17)
    ");
}

#[test]
fn a_key_for_an_invalid_peer() {
    let served = Served::start(&[]);
    let shown =
        served.sandbox.covey(&["bucket", "key", "shared.secret", "--peer=nobody"]).complaint(USAGE);
    assert_snapshot!(shown, @r"
    error: `nobody` is neither a peer ID nor a key file
    hint: run `covey id FILE` on the peer's machine to print its ID
    ");
}
