//! Flags in memory and in a file; with the log in [`with_log`].

mod fake_log;
mod with_log;

use time::OffsetDateTime;

use super::*;
use crate::flag::{Patch, Percent, ledger::HISTORY_KEPT};

fn now() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH
}

fn note(actor: &str) -> Note {
    Note::new(actor, "because", now())
}

fn declared() -> BTreeMap<FlagId, Settings> {
    BTreeMap::from([("f".parse().unwrap(), Settings::new("f"))])
}

fn percent(percent: f64) -> Patch {
    Patch {
        percent: Some(Percent::from_number(percent).unwrap()),
        ..Patch::default()
    }
}

async fn open(backing: Backing) -> Flags {
    Flags::open(&declared(), backing, &note("file"))
        .await
        .unwrap()
}

fn file_in(folder: &tempfile::TempDir) -> StateFile {
    StateFile::new(folder.path().join("flags.json"))
}

#[tokio::test]
async fn every_change_has_who_when_why_before_and_after() {
    let flags = open(Backing::Memory).await;
    let changed = flags
        .change("f", &percent(25.0), &note("ann"), Some(1))
        .await
        .unwrap();
    assert_eq!(
        (changed.outcome, changed.state.version),
        (Outcome::Recorded, 2)
    );
    let history = flags.history("f").unwrap();
    assert_eq!(
        history
            .iter()
            .map(|change| change.version)
            .collect::<Vec<_>>(),
        [2, 1]
    );
    let newest = &history[0];
    assert_eq!(
        (newest.actor.as_str(), newest.reason.as_str()),
        ("ann", "because")
    );
    assert_eq!(newest.before.as_ref(), Some(&history[1].after));
    assert_eq!(
        newest.after.settings.percent,
        Percent::from_number(25.0).unwrap()
    );
    assert_eq!(*flags.state("f").unwrap(), newest.after);
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_not_recorded() {
    let flags = open(Backing::Memory).await;
    let changed = flags
        .change("f", &percent(0.0), &note("ann"), None)
        .await
        .unwrap();
    assert_eq!(
        (changed.outcome, changed.state.version),
        (Outcome::Unchanged, 1)
    );
}

#[tokio::test]
async fn restore_brings_an_earlier_state_back_as_a_new_version() {
    let flags = open(Backing::Memory).await;
    flags
        .change("f", &percent(25.0), &note("ann"), None)
        .await
        .unwrap();
    flags
        .change("f", &Patch::kill(), &note("ann"), None)
        .await
        .unwrap();
    assert!(flags.state("f").unwrap().killed);
    let restored = flags.restore("f", 2, &note("ann")).await.unwrap();
    assert_eq!((restored.state.version, restored.state.killed), (4, false));
    assert_eq!(
        restored.state.settings.percent,
        Percent::from_number(25.0).unwrap()
    );
    let missing = flags.restore("f", 9, &note("ann")).await;
    assert!(matches!(missing, Err(ChangeError::UnknownVersion(9))));
}

#[tokio::test]
async fn a_kill_is_cleared_only_explicitly() {
    let flags = open(Backing::Memory).await;
    flags
        .change("f", &Patch::kill(), &note("ann"), None)
        .await
        .unwrap();
    flags
        .change("f", &percent(100.0), &note("ann"), None)
        .await
        .unwrap();
    assert!(
        flags.state("f").unwrap().killed,
        "a percent does not clear it"
    );
    let clear = Patch {
        killed: Some(false),
        ..Patch::default()
    };
    flags.change("f", &clear, &note("ann"), None).await.unwrap();
    assert!(!flags.state("f").unwrap().killed);
}

#[tokio::test]
async fn a_state_file_outlives_a_restart_and_beats_the_declared_state() {
    let folder = tempfile::tempdir().unwrap();
    let flags = open(Backing::File(file_in(&folder))).await;
    flags
        .change("f", &percent(12.5), &note("ann"), None)
        .await
        .unwrap();
    drop(flags);
    let flags = open(Backing::File(file_in(&folder))).await;
    assert_eq!(
        flags.state("f").unwrap().settings.percent.hundredths(),
        1250
    );
    assert_eq!(flags.history("f").unwrap().len(), 2);
}

#[tokio::test]
async fn a_change_that_the_state_file_refuses_changes_nothing_but_a_kill_works() {
    let folder = tempfile::tempdir().unwrap();
    let flags = open(Backing::File(file_in(&folder))).await;
    let path = folder.path().to_owned();
    drop(folder);
    assert!(!path.exists());
    let refused = flags.change("f", &percent(50.0), &note("ann"), None).await;
    assert!(matches!(refused, Err(ChangeError::StateFile(_))));
    assert_eq!(flags.state("f").unwrap().version, 1);
    let killed = flags
        .change("f", &Patch::kill(), &note("ann"), None)
        .await
        .unwrap();
    assert_eq!(
        (killed.outcome, killed.state.killed),
        (Outcome::Pending, true)
    );
    std::fs::create_dir(&path).unwrap();
    let restored = flags.restore("f", 1, &note("ann")).await.unwrap();
    let versions: Vec<_> = flags
        .history("f")
        .unwrap()
        .iter()
        .map(|it| it.version)
        .collect();
    assert_eq!(
        (restored.state.version, versions),
        (3, vec![3, 2, 1]),
        "the kill comes first"
    );
}

#[tokio::test]
async fn a_flag_declared_later_gets_a_cell_and_others_keep_theirs() {
    let flags = open(Backing::Memory).await;
    let before = flags.cells();
    let mut settings = declared();
    settings.insert("g".parse().unwrap(), Settings::new("g"));
    flags.declare(&settings, &note("file")).await.unwrap();
    let after = flags.cells();
    assert!(
        Arc::ptr_eq(&before["f"], &after["f"]),
        "the table in use keeps its cell"
    );
    assert_eq!(after["g"].load().version, 1);
    flags.declare(&declared(), &note("file")).await.unwrap();
    assert!(flags.state("g").is_err());
    flags.declare(&settings, &note("file")).await.unwrap();
    assert_eq!(flags.state("g").unwrap().version, 1, "its history was kept");
}

#[tokio::test]
async fn history_is_bounded_and_versions_go_on() {
    let flags = open(Backing::Memory).await;
    for number in 0..HISTORY_KEPT {
        let patch = percent(if number % 2 == 0 { 1.0 } else { 2.0 });
        flags.change("f", &patch, &note("ann"), None).await.unwrap();
    }
    assert_eq!(flags.history("f").unwrap().len(), HISTORY_KEPT);
    assert_eq!(flags.state("f").unwrap().version, HISTORY_KEPT as u64 + 1);
}
