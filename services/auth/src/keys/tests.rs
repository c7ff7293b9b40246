//! One file, several processes.

use std::{fs, os::unix::fs::PermissionsExt as _};

use chassis::identity::Verifier;
use uuid::Uuid;

use super::*;
use crate::domain::User;

const SOON: Duration = Duration::from_secs(10);

fn path() -> (testkit::TempDir, PathBuf) {
    let folder = testkit::temp_dir();
    let path = folder.path().join("keys/signing.pem");
    (folder, path)
}

fn token(keys: &Keys) -> String {
    let user = User::guest(Uuid::from_u128(3));
    keys.sign(&user.claims(OffsetDateTime::now_utc(), Uuid::now_v7()))
        .expect("a token")
}

fn signer(token: &str) -> String {
    let header = jsonwebtoken::decode_header(token).expect("a header");
    header.kid.expect("a key id")
}

async fn is_good(token: &str, at: &Keys) -> bool {
    let keys = at.clone();
    let verifier = Verifier::local(move |id| keys.public(id));
    verifier.verify(token).await.is_ok()
}

/// Another process on the same file, which looks at it as every process does.
fn replica(path: &Path) -> Keys {
    let keys = Keys::open(path).expect("the file");
    tokio::spawn(keys.clone().follow(Shutdown::new()));
    keys
}

#[test]
fn the_key_is_made_once_and_found_again() {
    let (_folder, path) = path();
    let made = Keys::open(&path).unwrap();
    let found = Keys::open(&path).unwrap();
    assert_eq!(made.jwks(), found.jwks());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, file::FILE_MODE);
    let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "no draft stays behind");
}

#[test]
fn processes_that_start_together_end_up_with_one_key() {
    let (_folder, path) = path();
    let load = || SigningKey::load_or_create(&path).unwrap().id().to_owned();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_signed_token_is_verified_by_the_published_keys() {
    let (_folder, path) = path();
    let keys = Keys::open(&path).unwrap();
    let verifier = Verifier::fixed(keys.jwks());
    verifier.verify(&token(&keys)).await.unwrap();
}

#[test]
fn a_file_that_holds_no_key_is_named_and_left_alone() {
    let (_folder, path) = path();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "not a key").unwrap();
    let error = Keys::open(&path).unwrap_err();
    assert!(error.to_string().contains("signing.pem"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "not a key");
}

#[tokio::test]
async fn after_a_rotation_tokens_of_both_keys_are_good_everywhere() {
    let (_folder, path) = path();
    let (here, there) = (Keys::open(&path).unwrap(), replica(&path));
    let before = token(&here);
    here.rotate(Duration::from_secs(1)).await.unwrap();
    assert_eq!(signer(&token(&here)), signer(&before), "it waits its time");
    assert_eq!(here.jwks().keys.len(), 2);

    for keys in [&here, &there] {
        testkit::eventually(SOON, || async { signer(&token(keys)) != signer(&before) }).await;
        assert!(is_good(&before, keys).await);
    }
    assert_eq!(signer(&token(&here)), signer(&token(&there)));
    assert!(is_good(&token(&here), &there).await);
}

#[tokio::test]
async fn an_unknown_key_id_is_looked_for_in_the_file_at_once() {
    let (_folder, path) = path();
    let here = Keys::open(&path).unwrap();
    // It follows nothing: only the unknown id makes it look.
    let there = Keys::open(&path).unwrap();
    here.purge(None).await.unwrap();
    let fresh = token(&here);
    testkit::eventually(SOON, || is_good(&fresh, &there)).await;
}

#[tokio::test]
async fn after_an_emergency_no_replica_takes_the_old_tokens() {
    let (_folder, path) = path();
    let (here, there) = (Keys::open(&path).unwrap(), replica(&path));
    let (before, old) = (token(&here), here.entries()[0].id.clone());
    here.purge(Some(old.clone())).await.unwrap();
    assert!(!is_good(&before, &here).await);
    testkit::eventually(SOON, || async { !is_good(&before, &there).await }).await;
    assert!(is_good(&token(&there), &here).await);
    assert!(!fs::read_to_string(&path).unwrap().contains(&old));
}

#[tokio::test]
async fn of_two_rotations_at_once_one_is_done() {
    let (_folder, path) = path();
    let (here, there) = (Keys::open(&path).unwrap(), Keys::open(&path).unwrap());
    let lead = Duration::from_secs(60);
    let (one, other) = tokio::join!(here.rotate(lead), there.rotate(lead));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(Keys::open(&path).unwrap().entries().len(), 2);
}

#[tokio::test]
async fn a_crash_between_draft_and_name_leaves_the_old_set_and_hinders_nobody() {
    let (_folder, path) = path();
    let keys = Keys::open(&path).unwrap();
    let before = token(&keys);
    // What a process leaves that dies there: its draft, and a lock file that nobody holds.
    let folder = path.parent().unwrap();
    fs::write(folder.join(".signing-key-0"), "half a k").unwrap();
    fs::write(folder.join("signing.pem.lock"), "").unwrap();
    assert!(is_good(&before, &Keys::open(&path).unwrap()).await);
    keys.rotate(Duration::ZERO).await.unwrap();
    assert!(is_good(&before, &keys).await);
    assert_ne!(signer(&token(&keys)), signer(&before));
}

#[tokio::test]
async fn a_file_that_was_spoiled_changes_nothing_until_it_is_whole_again() {
    let (_folder, path) = path();
    let keys = replica(&path);
    let (before, text) = (token(&keys), fs::read_to_string(&path).unwrap());
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    keys.look();
    assert!(is_good(&before, &keys).await);
    assert!(keys.rotate(Duration::ZERO).await.is_err());
    let other = KeySet::of(SigningKey::random().unwrap()).render().unwrap();
    fs::write(&path, other).unwrap();
    testkit::eventually(SOON, || async { !is_good(&before, &keys).await }).await;
}

#[tokio::test]
async fn the_mode_of_the_file_and_a_link_to_it_survive_a_rotation() {
    let (_folder, path) = path();
    let keys = Keys::open(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = path.with_file_name("link.pem");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    Keys::open(&link)
        .unwrap()
        .rotate(Duration::ZERO)
        .await
        .unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    keys.look();
    assert_eq!(keys.entries().len(), 2);
}
