//! The log's archive: contiguous, checked, safe against death at every step, restorable.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use contracts::{Payload, Recorded, events::UserDeleted};
use event_store::{Append, Expected, Log, LogOptions, ReadQuery};
use maintenance::archive::{self, Archive, ArchiveError, Snapshot, Step, Watch, Written};
use testkit::{Backend, TempDir};
use uuid::Uuid;

use crate::app::{append, event};

testkit::both_databases!(
    what_is_new_is_written_once,
    a_death_at_any_step_loses_nothing_and_leaves_nothing_behind,
    a_missing_segment_is_written_again,
    a_damaged_segment_is_found_and_nothing_is_declared,
    a_snapshot_restores_the_log_and_old_ones_go,
    a_manifest_that_is_lost_or_cannot_be_read_costs_no_segment,
    who_comes_second_waits_for_the_first,
    another_folder_is_refused,
);

/// Events of a segment.
const SEGMENT: u32 = 4;

struct Kept {
    log: Log,
    root: TempDir,
    _backend: Backend,
}

impl Kept {
    async fn with(backend: Backend, events: usize) -> Self {
        let log = Log::open(&backend.url, LogOptions::default())
            .await
            .expect("a log");
        let kept = Self {
            log,
            root: testkit::temp_dir(),
            _backend: backend,
        };
        kept.grow(events).await;
        kept
    }

    async fn grow(&self, events: usize) {
        let deleted = || {
            event(
                UserDeleted::TYPE,
                &UserDeleted {
                    user_id: Uuid::now_v7(),
                },
            )
        };
        append(&self.log, (0..events).map(|_| deleted()).collect()).await;
    }

    fn archive(&self, watch: Watch) -> Archive {
        Archive::new(self.root.path().to_owned(), SEGMENT, 2, watch)
    }

    async fn extend(&self) -> Result<Written, ArchiveError> {
        self.archive(Watch::default()).extend(&self.log).await
    }

    async fn snapshot(&self) -> Result<Snapshot, ArchiveError> {
        self.archive(Watch::default()).snapshot(&self.log).await
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join(self.log.epoch().to_string())
    }

    /// The files, without the lock.
    fn files(&self) -> BTreeSet<String> {
        files(&self.folder())
    }

    async fn events(&self) -> Vec<Recorded> {
        let query = ReadQuery::after(0).limit(1_000);
        self.log.read(&query).await.expect("events")
    }

    fn archived(&self) -> Vec<Recorded> {
        read(&self.folder()).expect("the archive")
    }
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.into_string().expect("a name"))
        .filter(|name| name != "archive.lock")
        .collect()
}

fn read(folder: &Path) -> Result<Vec<Recorded>, ArchiveError> {
    let mut events = Vec::new();
    archive::read(folder, |event| {
        events.push(event);
        Ok(())
    })?;
    Ok(events)
}

async fn what_is_new_is_written_once(backend: Backend) {
    let kept = Kept::with(backend, 10).await;
    let written = kept.extend().await.expect("written");
    assert_eq!(
        (written.segments, written.events, written.archived_to),
        (3, 10, 10)
    );
    let again = kept.extend().await.expect("nothing");
    assert_eq!(
        (again.segments, again.events, again.archived_to),
        (0, 0, 10)
    );
    kept.grow(1).await;
    assert_eq!(kept.extend().await.expect("written").events, 1);
    assert_eq!(kept.archived(), kept.events().await);
    assert_eq!(kept.log.backed_up_to().await.expect("a position"), 11);
    let expected = [
        "events-000000000001-000000000004.jsonl.gz",
        "events-000000000005-000000000008.jsonl.gz",
        "events-000000000009-000000000010.jsonl.gz",
        "events-000000000011-000000000011.jsonl.gz",
        "manifest.json",
    ];
    assert_eq!(kept.files(), expected.map(ToOwned::to_owned).into());
}

/// Dies at the `n`-th step, and tells which it was.
fn dying(n: usize, seen: &Arc<Mutex<Vec<Step>>>) -> Watch {
    let seen = Arc::clone(seen);
    Watch::new(move |step| {
        let mut seen = seen.lock().expect("nobody panicked");
        seen.push(step);
        if seen.len() == n {
            return Err(io::Error::other("dead"));
        }
        Ok(())
    })
}

async fn a_death_at_any_step_loses_nothing_and_leaves_nothing_behind(backend: Backend) {
    let kept = Kept::with(backend, 6).await;
    let mut died_at = Vec::new();
    for n in 1.. {
        let seen = Arc::default();
        let dead = kept.archive(dying(n, &seen)).snapshot(&kept.log).await;
        let steps = seen.lock().expect("nobody panicked").clone();
        if dead.is_ok() {
            break;
        }
        died_at.extend(steps.last().copied());
        // Whatever is left is whole, or is not counted.
        let left = read(&kept.folder()).expect("the archive");
        assert_eq!(left, kept.events().await[..left.len()]);
        // Another process goes on.
        kept.grow(1).await;
        let done = kept.extend().await.expect("it goes on");
        assert_eq!(
            done.archived_to,
            kept.log.head().await.expect("a head").position
        );
        assert_eq!(kept.archived(), kept.events().await);
        assert!(
            kept.files()
                .iter()
                .all(|name| !name.starts_with(".passing")),
            "{steps:?}"
        );
        kept.grow(5).await;
    }
    for step in [
        Step::SegmentWritten,
        Step::SegmentNamed,
        Step::ManifestWritten,
        Step::ManifestNamed,
        Step::LogTold,
        Step::SnapshotNamed,
    ] {
        assert!(died_at.contains(&step), "{step:?}: {died_at:?}");
    }
}

async fn a_missing_segment_is_written_again(backend: Backend) {
    let kept = Kept::with(backend, 10).await;
    kept.extend().await.expect("written");
    let file = kept
        .folder()
        .join("events-000000000005-000000000008.jsonl.gz");
    let before = fs::read(&file).expect("a segment");
    fs::remove_file(&file).expect("removed");
    assert!(matches!(
        read(&kept.folder()),
        Err(ArchiveError::File { .. })
    ));
    let written = kept.extend().await.expect("written");
    assert_eq!((written.segments, written.events), (1, 4));
    assert_eq!(
        fs::read(&file).expect("a segment"),
        before,
        "the same events, the same bytes"
    );
}

async fn a_damaged_segment_is_found_and_nothing_is_declared(backend: Backend) {
    let kept = Kept::with(backend, 10).await;
    kept.extend().await.expect("written");
    let name = "events-000000000005-000000000008.jsonl.gz";
    let file = kept.folder().join(name);
    let whole = fs::read(&file).expect("a segment");
    for place in [0, 10, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&file, &bytes).expect("written");
        match kept.snapshot().await {
            Err(ArchiveError::Damaged { file, .. }) => assert_eq!(file, name),
            other => panic!("byte {place}: {other:?}"),
        }
        assert!(
            kept.files()
                .iter()
                .all(|name| !name.starts_with("snapshot"))
        );
    }
    // Taken away, it is written again from the log.
    fs::remove_file(&file).expect("removed");
    assert_eq!(kept.snapshot().await.expect("a snapshot").head, 10);
}

async fn a_snapshot_restores_the_log_and_old_ones_go(backend: Backend) {
    let kept = Kept::with(backend, 9).await;
    let snapshot = kept.snapshot().await.expect("a snapshot");
    assert_eq!((snapshot.head, snapshot.epoch), (9, kept.log.epoch()));
    assert_eq!(snapshot.counts.get(UserDeleted::TYPE), Some(&9));
    for _ in 0..3 {
        kept.grow(1).await;
        kept.snapshot().await.expect("a snapshot");
    }
    let mut names = kept.files();
    names.retain(|name| name.starts_with("snapshot"));
    let expected = ["snapshot-000000000011.json", "snapshot-000000000012.json"];
    assert_eq!(names, expected.map(ToOwned::to_owned).into());

    let other = Backend::sqlite();
    let restored = Log::open(&other.url, LogOptions::default())
        .await
        .expect("a log");
    let archived = kept.archived();
    let batch = archived.iter().map(|event| Append {
        event: event.event.clone(),
        expected: Expected::Any,
    });
    restored.append(batch.collect()).await.expect("restored");
    let query = ReadQuery::after(0).limit(1_000);
    let found = restored.read(&query).await.expect("events");
    let events = |all: &[Recorded]| -> Vec<_> {
        all.iter()
            .map(|one| (one.position, one.event.clone()))
            .collect()
    };
    assert_eq!(events(&found), events(&archived));
}

async fn a_manifest_that_is_lost_or_cannot_be_read_costs_no_segment(backend: Backend) {
    let kept = Kept::with(backend, 10).await;
    kept.snapshot().await.expect("written");
    let manifest = kept.folder().join("manifest.json");
    let moved = kept.root.path().join("elsewhere");
    fs::rename(&manifest, &moved).expect("moved");
    let left = kept.files();
    for _ in 0..2 {
        match kept.extend().await {
            Err(ArchiveError::Damaged { file, .. }) => assert_eq!(file, "manifest.json"),
            other => panic!("{other:?}"),
        }
        assert!(read(&kept.folder()).is_err(), "nor is it an empty archive");
        assert_eq!(kept.files(), left);
    }
    // One that is there but cannot be read is not one that is missing.
    fs::create_dir(&manifest).expect("a folder");
    assert!(matches!(
        kept.extend().await,
        Err(ArchiveError::File { .. })
    ));
    fs::remove_dir(&manifest).expect("removed");
    assert_eq!(kept.files(), left);
    fs::rename(&moved, &manifest).expect("moved back");
    assert_eq!(kept.extend().await.expect("it goes on").segments, 0);
}

async fn who_comes_second_waits_for_the_first(backend: Backend) {
    let kept = Kept::with(backend, 6).await;
    let (entered, is_in) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let told = Mutex::new(Some((entered, may_go_on)));
    let held = kept.archive(Watch::new(move |_| {
        if let Some((entered, may_go_on)) = told.lock().expect("nobody panicked").take() {
            entered.send(()).ok();
            may_go_on.recv().ok();
        }
        Ok(())
    }));
    let log = kept.log.clone();
    let first = tokio::spawn(async move { held.extend(&log).await });
    is_in.await.expect("it writes");
    // Nobody waits for the first any more, but what it does goes on.
    first.abort();
    assert!(first.await.expect_err("aborted").is_cancelled());
    let second = kept.extend();
    tokio::pin!(second);
    let early = tokio::time::timeout(std::time::Duration::from_secs(1), &mut second).await;
    assert!(early.is_err(), "the first has not left: {early:?}");
    go_on.send(()).expect("the first goes on");
    assert_eq!(second.await.expect("written").archived_to, 6);
    assert_eq!(kept.archived(), kept.events().await);
}

async fn another_folder_is_refused(backend: Backend) {
    let kept = Kept::with(backend, 1).await;
    let archive = kept.archive(Watch::default());
    let id = archive.identify(None).await.expect("an id");
    assert_eq!(archive.identify(None).await.expect("the same"), id);
    assert_eq!(archive.identify(Some(id)).await.expect("the same"), id);
    let elsewhere = testkit::temp_dir();
    let other = Archive::new(elsewhere.path().to_owned(), SEGMENT, 2, Watch::default());
    for _ in 0..2 {
        match other.identify(Some(id)).await {
            Err(ArchiveError::Foreign { known, .. }) => assert_eq!(known, id),
            found => panic!("{found:?}"),
        }
        // First with no id, then with another.
        assert_ne!(other.identify(None).await.expect("an id"), id);
    }
}
