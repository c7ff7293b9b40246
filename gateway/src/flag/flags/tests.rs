use std::sync::{Mutex as StdMutex, atomic::AtomicBool};

use async_trait::async_trait;
use chassis::Shutdown;
use time::OffsetDateTime;
use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::flag::{
    Entry, JournalError, Page, Percent, RouteChange, Side, bucket, decide, ledger::HISTORY_KEPT,
};

/// A log in memory that can be taken away.
#[derive(Debug)]
struct FakeLog {
    epoch: Uuid,
    entries: StdMutex<Vec<Entry>>,
    down: AtomicBool,
    appended: Notify,
}

impl FakeLog {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            epoch: Uuid::from_u128(1),
            entries: StdMutex::default(),
            down: AtomicBool::new(false),
            appended: Notify::new(),
        })
    }

    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
        self.appended.notify_waiters();
    }

    fn answer(&self) -> Result<(), JournalError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(JournalError::Unavailable("refused".to_owned()));
        }
        Ok(())
    }

    fn changes(&self) -> Vec<Change> {
        let entries = self.entries.lock().unwrap();
        let flag = |entry: &Entry| match entry {
            Entry::Flag(_, change) => Some((**change).clone()),
            Entry::Route(_) => None,
        };
        entries.iter().filter_map(flag).collect()
    }

    fn routes(&self) -> Vec<RouteChange> {
        let entries = self.entries.lock().unwrap();
        let route = |entry: &Entry| match entry {
            Entry::Flag(..) => None,
            Entry::Route(change) => Some(change.clone()),
        };
        entries.iter().filter_map(route).collect()
    }
}

fn stream(entry: &Entry) -> (String, u64) {
    match entry {
        Entry::Flag(id, change) => (format!("flag-{id}"), change.version),
        Entry::Route(change) => (format!("route-{}", change.route), change.version),
    }
}

#[async_trait]
impl Journal for FakeLog {
    async fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        self.answer()?;
        let mut entries = self.entries.lock().unwrap();
        let (name, version) = stream(entry);
        let count = entries.iter().filter(|it| stream(it).0 == name).count() as u64;
        if version != count + 1 {
            return Err(JournalError::Conflict);
        }
        entries.push(entry.clone());
        drop(entries);
        self.appended.notify_waiters();
        Ok(())
    }

    async fn read(&self, after: Cursor) -> Result<Page, JournalError> {
        self.answer()?;
        let entries = self.entries.lock().unwrap();
        let known = after == Cursor::default() || after.epoch == self.epoch;
        let from = usize::try_from(after.position).unwrap();
        if !known || from > entries.len() {
            return Err(JournalError::AnotherLog);
        }
        // Small pages, so that paging is tested too.
        let page: Vec<_> = entries[from..].iter().take(2).cloned().collect();
        let position = from + page.len();
        let next = Cursor {
            epoch: self.epoch,
            position: i64::try_from(position).unwrap(),
        };
        Ok(Page {
            entries: page,
            next,
            is_last: position == entries.len(),
        })
    }

    async fn changed(&self) {
        let poll = tokio::time::sleep(std::time::Duration::from_millis(20));
        tokio::select! {
            () = self.appended.notified() => {}
            () = poll => {}
        }
    }
}

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

async fn with_log(log: &Arc<FakeLog>) -> Flags {
    open(Backing::Log(Arc::clone(log) as Arc<dyn Journal>, None)).await
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
async fn of_concurrent_changes_that_expect_one_version_exactly_one_wins() {
    let log = FakeLog::new();
    let gateways = [with_log(&log).await, with_log(&log).await];
    let attempts = (0..20).map(|number| {
        let flags = gateways[number % 2].clone();
        tokio::spawn(async move {
            let patch = percent(f64::from(u32::try_from(number).unwrap()) + 1.0);
            flags.change("f", &patch, &note("ann"), Some(1)).await
        })
    });
    let mut won = 0;
    for attempt in futures::future::join_all(attempts).await {
        match attempt.unwrap() {
            Ok(changed) => {
                assert_eq!(changed.state.version, 2);
                won += 1;
            }
            Err(error) => assert!(
                matches!(error, ChangeError::Stale { current: 2 }),
                "{error}"
            ),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(log.changes().len(), 2);
}

#[tokio::test]
async fn changes_without_a_version_all_win_one_after_the_other() {
    let log = FakeLog::new();
    let gateways = [with_log(&log).await, with_log(&log).await];
    let attempts = (1..=4).map(|number| {
        let flags = gateways[number % 2].clone();
        let patch = Patch {
            deny: Some([number.to_string()].into()),
            ..Patch::default()
        };
        tokio::spawn(async move { flags.change("f", &patch, &note("ann"), None).await })
    });
    for attempt in futures::future::join_all(attempts).await {
        attempt.unwrap().unwrap();
    }
    let versions: Vec<_> = log.changes().iter().map(|change| change.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
    for pair in log.changes().windows(2) {
        assert_eq!(pair[1].before.as_ref(), Some(&pair[0].after));
    }
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
}

#[tokio::test]
async fn a_kill_works_while_the_log_is_down_survives_a_restart_and_is_merged_later() {
    let folder = tempfile::tempdir().unwrap();
    let log = FakeLog::new();
    let backing = || Backing::Log(Arc::clone(&log) as Arc<dyn Journal>, Some(file_in(&folder)));
    let flags = open(backing()).await;
    flags
        .change("f", &percent(100.0), &note("ann"), None)
        .await
        .unwrap();

    log.set_down(true);
    let refused = flags.change("f", &percent(50.0), &note("ann"), None).await;
    assert!(matches!(refused, Err(ChangeError::LogUnavailable(_))));
    let killed = flags
        .change("f", &Patch::kill(), &note("bob"), None)
        .await
        .unwrap();
    assert_eq!(
        (killed.outcome, killed.state.killed),
        (Outcome::Pending, true)
    );
    let headers = http::HeaderMap::new();
    assert_eq!(
        decide(&killed.state, Some("u"), false, &headers).side,
        Side::Legacy
    );
    drop(flags);

    let flags = open(backing()).await;
    assert!(flags.readiness().is_ok(), "the snapshot holds");
    assert!(flags.state("f").unwrap().killed, "it was in the state file");
    assert!(flags.is_pending("f"));

    log.set_down(false);
    assert!(flags.synchronise().await);
    assert!(!flags.is_pending("f"));
    let last = log.changes().pop().unwrap();
    assert_eq!(
        (last.version, last.actor.as_str(), last.after.killed),
        (3, "bob", true)
    );
    let cleared = Patch {
        killed: Some(false),
        ..Patch::default()
    };
    let cleared = flags
        .change("f", &cleared, &note("ann"), Some(3))
        .await
        .unwrap();
    assert_eq!((cleared.state.version, cleared.state.killed), (4, false));
}

#[tokio::test]
async fn a_kill_in_a_partition_wins_over_what_others_changed_meanwhile() {
    let log = FakeLog::new();
    let (cut_off, other) = (with_log(&log).await, with_log(&log).await);
    log.set_down(true);
    cut_off
        .change("f", &Patch::kill(), &note("bob"), None)
        .await
        .unwrap();
    log.set_down(false);
    other
        .change("f", &percent(75.0), &note("ann"), None)
        .await
        .unwrap();
    assert!(cut_off.synchronise().await);
    let last = log.changes().pop().unwrap();
    assert_eq!((last.version, last.after.killed), (3, true));
    assert_eq!(
        last.after.settings.percent.hundredths(),
        7500,
        "the other change stays"
    );
}

#[tokio::test]
async fn a_gateway_follows_what_others_change() {
    let log = FakeLog::new();
    let (one, other) = (with_log(&log).await, with_log(&log).await);
    let shutdown = Shutdown::new();
    let following = tokio::spawn({
        let (other, shutdown) = (other.clone(), shutdown.clone());
        async move { other.follow(now, shutdown).await }
    });
    one.change("f", &percent(30.0), &note("ann"), None)
        .await
        .unwrap();
    wait_until(|| other.state("f").unwrap().version == 2).await;
    assert_eq!(other.history("f").unwrap()[0].actor, "ann");
    shutdown.trigger();
    following.await.unwrap();
}

#[tokio::test]
async fn a_gateway_with_neither_log_nor_snapshot_is_not_ready_and_keeps_everybody_on_legacy() {
    let log = FakeLog::new();
    log.set_down(true);
    let mut settings = declared();
    for flag in settings.values_mut() {
        flag.percent = Percent::FULL;
    }
    let backing = Backing::Log(Arc::clone(&log) as Arc<dyn Journal>, None);
    let flags = Flags::open(&settings, backing, &note("file"))
        .await
        .unwrap();
    assert!(flags.readiness().is_err());
    let state = flags.state("f").unwrap();
    assert_eq!(
        decide(&state, Some("u"), false, &http::HeaderMap::new()).side,
        Side::Legacy
    );

    log.set_down(false);
    let shutdown = Shutdown::new();
    let following = tokio::spawn({
        let (flags, shutdown) = (flags.clone(), shutdown.clone());
        async move { flags.follow(now, shutdown).await }
    });
    wait_until(|| flags.state("f").unwrap().version == 1).await;
    assert!(flags.readiness().is_ok());
    let state = flags.state("f").unwrap();
    assert_eq!(
        decide(&state, Some("u"), false, &http::HeaderMap::new()).side,
        Side::Candidate
    );
    shutdown.trigger();
    following.await.unwrap();
}

#[tokio::test]
async fn states_of_the_file_go_into_a_log_that_is_configured_later() {
    let folder = tempfile::tempdir().unwrap();
    let flags = open(Backing::File(file_in(&folder))).await;
    flags
        .change("f", &percent(40.0), &note("ann"), None)
        .await
        .unwrap();
    drop(flags);
    let log = FakeLog::new();
    let journal = Arc::clone(&log) as Arc<dyn Journal>;
    let flags = open(Backing::Log(journal, Some(file_in(&folder)))).await;
    assert_eq!(
        flags.state("f").unwrap().settings.percent.hundredths(),
        4000
    );
    assert_eq!(log.changes()[0].after.settings.percent.hundredths(), 4000);
}

#[tokio::test]
async fn a_log_restored_from_a_backup_does_not_take_a_rollback_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = FakeLog::new();
    let flags = open(Backing::Log(
        Arc::clone(&log) as Arc<dyn Journal>,
        Some(file_in(&folder)),
    ))
    .await;
    flags
        .change("f", &percent(80.0), &note("ann"), None)
        .await
        .unwrap();
    flags
        .change("f", &Patch::kill(), &note("bob"), None)
        .await
        .unwrap();
    let restored = Arc::new(FakeLog {
        epoch: Uuid::from_u128(2),
        entries: StdMutex::new(log.entries.lock().unwrap()[..2].to_vec()),
        down: AtomicBool::new(false),
        appended: Notify::new(),
    });
    let flags = open(Backing::Log(
        Arc::clone(&restored) as Arc<dyn Journal>,
        Some(file_in(&folder)),
    ))
    .await;
    assert!(flags.state("f").unwrap().killed);
    assert!(restored.changes().last().unwrap().after.killed);
}

#[tokio::test]
async fn routes_are_recorded_when_their_declaration_differs_from_the_log() {
    let log = FakeLog::new();
    let flags = with_log(&log).await;
    let routes = |names: &[&str]| -> BTreeMap<crate::RouteId, serde_json::Value> {
        names
            .iter()
            .map(|name| (name.parse().unwrap(), serde_json::json!(name)))
            .collect()
    };
    flags.declare_routes(routes(&["a", "b"])).await;
    flags.declare_routes(routes(&["a", "b"])).await;
    with_log(&log).await.declare_routes(routes(&["a"])).await;
    let recorded: Vec<_> = log
        .routes()
        .into_iter()
        .map(|change| {
            (
                change.route.to_string(),
                change.version,
                change.after.is_some(),
            )
        })
        .collect();
    let expected =
        [("a", 1, true), ("b", 1, true), ("b", 2, false)].map(|(id, v, is)| (id.to_owned(), v, is));
    assert_eq!(recorded, expected);
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
    assert!(bucket("f", "x") < 10_000);
}

async fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the condition did not come true within 5 s");
}
