//! Flags in the log, and without it.

use chassis::Shutdown;

use super::{fake_log::FakeLog, *};
use crate::flag::{Side, decide};

async fn with_log(log: &Arc<FakeLog>) -> Flags {
    open(Backing::Log(Arc::clone(log) as Arc<dyn Journal>, None)).await
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

#[tokio::test(start_paused = true)]
async fn a_kill_does_not_wait_for_a_change_that_waits_for_the_log() {
    let log = FakeLog::new();
    let flags = with_log(&log).await;
    log.hang();
    let change = tokio::spawn({
        let flags = flags.clone();
        async move { flags.change("f", &percent(50.0), &note("ann"), None).await }
    });
    tokio::task::yield_now().await;
    let kill = tokio::spawn({
        let flags = flags.clone();
        async move { flags.change("f", &Patch::kill(), &note("bob"), None).await }
    });
    tokio::task::yield_now().await;
    assert!(flags.state("f").unwrap().killed, "at once");
    assert!(
        !change.is_finished() && !kill.is_finished(),
        "both still ask the log"
    );
    let refused = change.await.unwrap();
    assert!(
        matches!(refused, Err(ChangeError::LogUnavailable(_))),
        "{refused:?}"
    );
    assert_eq!(kill.await.unwrap().unwrap().outcome, Outcome::Pending);
    assert!(flags.state("f").unwrap().killed);
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
async fn the_snapshot_is_written_for_what_says_something_of_flags_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let log = FakeLog::new();
    let journal = Arc::clone(&log) as Arc<dyn Journal>;
    let flags = open(Backing::Log(journal, Some(file_in(&folder)))).await;
    assert!(flags.synchronise().await);
    let path = folder.path().join("flags.json");
    std::fs::remove_file(&path).unwrap();

    let other = with_log(&log).await;
    let routes = BTreeMap::from([("a".parse().unwrap(), serde_json::json!("a"))]);
    other.declare_routes(routes).await;
    assert!(flags.synchronise().await);
    assert!(!path.exists());

    let raised = other.change("f", &percent(30.0), &note("ann"), None).await;
    raised.unwrap();
    assert!(flags.synchronise().await);
    assert!(path.exists());
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
    let restored = log.restored_to(2);
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

async fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        // Between two looks at a condition that has a bound.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the condition did not come true within 5 s");
}
