//! Laws of the key file.

use std::fs;

use covey_comms::primitives::{IdentityError, Keypair};

const SECRET: [u8; 32] = [7; 32];

#[test]
fn an_identity_comes_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let created = Keypair::create(&path, &SECRET).unwrap();
    assert_eq!(Keypair::load(&path).unwrap().peer(), created.peer());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft stays behind");
}

#[test]
fn an_existing_key_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let first = Keypair::create(&path, &SECRET).unwrap();
    let error = Keypair::create(&path, &[8; 32]).unwrap_err();
    assert!(matches!(error, IdentityError::Exists { .. }), "{error}");
    assert_eq!(Keypair::load_or_create(&path, &[8; 32]).unwrap().peer(), first.peer());
}

#[test]
fn a_missing_key_is_created_on_request_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    assert!(matches!(Keypair::load(&path), Err(IdentityError::Missing { .. })));
    let created = Keypair::load_or_create(&path, &SECRET).unwrap();
    assert_eq!(created.peer(), Keypair::from_secret(&SECRET).peer());
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_rejected() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    Keypair::create(&path, &SECRET).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = Keypair::load(&path).unwrap_err();
        assert!(
            matches!(error, IdentityError::Exposed { mode: seen, .. } if seen == mode),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("chmod 600"));
    }
}

#[test]
fn files_without_a_key_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    Keypair::create(&path, &SECRET).unwrap();
    let line = fs::read(&path).unwrap();
    let long = [line.as_slice(), b"more"].concat();
    let binary = vec![0xff; line.len()];
    for damaged in [&[][..], &line[1..], &line[..line.len() - 2], &long, &binary] {
        // Written in place: the file keeps its mode.
        fs::write(&path, damaged).unwrap();
        assert!(
            matches!(Keypair::load(&path), Err(IdentityError::Malformed { .. })),
            "{damaged:?}"
        );
    }
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Keypair::create(&folder.path().join("absent/key"), &SECRET).unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
}
