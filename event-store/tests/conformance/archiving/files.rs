//! A file that is missing, damaged, moved, or not what the log has.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use event_store::{Log, LogOptions, ReadQuery, archive::Manifest};
use serde_json::Value;
use testkit::Backend;
use tower::ServiceExt;

use super::{Kept, retention};
use crate::fixture::{append_to, soon};

testkit::both_databases!(
    a_missing_file_is_named_and_what_it_lacks_is_read_once_it_is_back,
    a_damaged_file_is_named,
    an_archive_that_moved_is_found_again,
    a_folder_without_the_files_is_refused,
    a_file_that_differs_from_the_log_removes_nothing,
    a_manifest_that_does_not_name_the_only_copy_is_refused,
);

async fn archived(backend: Backend) -> Kept {
    let kept = Kept::with(backend).await;
    append_to(&kept.log, &["a"; 8]).await;
    kept.archive().await;
    kept.remove_to(8).await;
    kept
}

/// The file of the first range.
async fn first_file(kept: &Kept) -> PathBuf {
    let range = &kept.log.archived_ranges().await.unwrap()[0];
    kept.folder.path().join(&range.file)
}

/// The same log for a process that has read nothing yet.
async fn opened_anew(kept: &Kept) -> Log {
    let options = LogOptions::default();
    Log::open(&kept.backend.url, options).await.unwrap()
}

async fn a_missing_file_is_named_and_what_it_lacks_is_read_once_it_is_back(backend: Backend) {
    let kept = archived(backend).await;
    let (log, file) = (opened_anew(&kept).await, first_file(&kept).await);
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    let error = log.read(&ReadQuery::after(0)).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let text = error.to_string();
    for told in [&*file.display().to_string(), "events 1 to 4"] {
        assert!(text.contains(told), "{text}");
    }
    // What lies elsewhere is read.
    let rest = log.read(&ReadQuery::after(4)).await.unwrap();
    assert_eq!(rest.len(), 4);

    let asked = axum::http::Request::get("/events?after=0")
        .body(axum::body::Body::empty())
        .unwrap();
    let router = event_store::ops::log(log.clone());
    let answer = router.oneshot(asked).await.unwrap();
    assert_eq!(answer.status(), 503);
    let body = axum::body::to_bytes(answer.into_body(), 1 << 16).await;
    let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    assert_eq!(body["code"], "dependency_unavailable");
    assert!(body["detail"].as_str().unwrap().contains("events 1 to 4"));

    fs::rename(&aside, &file).unwrap();
    assert_eq!(log.read(&ReadQuery::after(0)).await.unwrap().len(), 8);
}

async fn a_damaged_file_is_named(backend: Backend) {
    let kept = archived(backend).await;
    let (log, file) = (opened_anew(&kept).await, first_file(&kept).await);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let error = log.read(&ReadQuery::after(0)).await.unwrap_err();
    assert!(!error.is_transient(), "a repeat does not help: {error:?}");
    let text = error.to_string();
    assert!(
        text.contains("SHA-256") && text.contains(&file.display().to_string()),
        "{text}"
    );
}

async fn an_archive_that_moved_is_found_again(backend: Backend) {
    let kept = archived(backend).await;
    let all = kept.log.read(&ReadQuery::after(0)).await.unwrap();
    let moved = testkit::temp_dir();
    copy(kept.folder.path(), moved.path());
    fs::remove_dir_all(kept.folder.path()).unwrap();
    let lost = opened_anew(&kept).await;
    lost.read(&ReadQuery::after(0)).await.unwrap_err();
    // A process that is told where it is.
    let options = LogOptions {
        archive_dir: Some(moved.path().to_owned()),
        ..LogOptions::default()
    };
    let told = Log::open(&kept.backend.url, options).await.unwrap();
    assert_eq!(told.read(&ReadQuery::after(0)).await.unwrap(), all);
    // And everybody, once the log's process knows it.
    retention(&told, moved.path(), Duration::ZERO)
        .pass()
        .await
        .unwrap();
    assert_eq!(lost.read(&ReadQuery::after(0)).await.unwrap(), all);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

async fn a_folder_without_the_files_is_refused(backend: Backend) {
    let kept = archived(backend).await;
    let another = testkit::temp_dir();
    let refused = retention(&kept.log, another.path(), Duration::ZERO)
        .pass()
        .await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("archive_dir"), "{text}");
    assert_eq!(kept.log.read(&ReadQuery::after(0)).await.unwrap().len(), 8);
}

async fn a_file_that_differs_from_the_log_removes_nothing(backend: Backend) {
    let kept = Kept::with(backend).await;
    append_to(&kept.log, &["a"; 4]).await;
    kept.archive().await;
    // Another log's file, whole and well described, in the place of this one's.
    let other = Kept::with(crate::fixture::another(&kept.backend).await).await;
    append_to(&other.log, &["a"; 4]).await;
    other.archive().await;
    let folder = |kept: &Kept| kept.folder.path().join(kept.log.epoch().to_string());
    let manifest = folder(&other).join("manifest.json");
    let mut foreign: Manifest = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    foreign.epoch = kept.log.epoch();
    let name = &foreign.segments[0].file;
    fs::copy(folder(&other).join(name), folder(&kept).join(name)).unwrap();
    let bytes = serde_json::to_vec(&foreign).unwrap();
    fs::write(folder(&kept).join("manifest.json"), bytes).unwrap();
    let retention = kept.retention(Duration::ZERO);
    let refused = testkit::eventually(crate::fixture::PATIENCE, || async {
        retention.pass().await.err()
    })
    .await;
    assert!(refused.to_string().contains("position 1"), "{refused}");
    assert_eq!(kept.rows().await, [1, 2, 3, 4]);
}

async fn a_manifest_that_does_not_name_the_only_copy_is_refused(backend: Backend) {
    let kept = archived(backend).await;
    let folder = kept.folder.path().join(kept.log.epoch().to_string());
    let manifest = folder.join("manifest.json");
    let mut older: Manifest = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let forgotten = older.segments.pop().unwrap();
    fs::write(&manifest, serde_json::to_vec(&older).unwrap()).unwrap();
    let archive = event_store::archive::Archive::new(
        kept.folder.path().to_owned(),
        super::SEGMENT,
        1,
        event_store::archive::Watch::default(),
    );
    let refused = soon(archive.extend(&kept.log)).await.unwrap_err();
    assert!(refused.to_string().contains(&forgotten.file), "{refused}");
    assert!(folder.join(&forgotten.file).is_file());
}
