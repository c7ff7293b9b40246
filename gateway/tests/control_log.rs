//! Flags and routes in the event store.

use std::{sync::Arc, time::Duration};

use chassis::Shutdown;
use event_store::{Log, LogOptions, ReadQuery};
use gateway::{
    Config,
    config::Language,
    control::Control,
    flag::{ChangeError, Note, Outcome, Patch, Percent},
};
use tempfile::TempDir;
use testkit::{
    eventually,
    proxy::{FaultProxy, Mode},
};
use time::OffsetDateTime;

fn config(folder: &TempDir, prefix: &str) -> anyhow::Result<Config> {
    let text = format!(
        r#"
        log = "sqlite:{}"
        [upstreams.legacy]
        endpoints = ["http://127.0.0.1:9000"]
        [upstreams.quiz]
        endpoints = ["http://127.0.0.1:9003"]
        [flags.f]
        [[routes]]
        id = "answers"
        prefix = "{prefix}"
        legacy = "legacy"
        candidate = "quiz"
        flag = "f"
        "#,
        folder.path().join("log.db").display()
    );
    Ok(Config::from_text(&text, Language::Toml)?)
}

fn percent(percent: f64) -> anyhow::Result<Patch> {
    Ok(Patch {
        percent: Some(Percent::from_number(percent)?),
        ..Patch::default()
    })
}

fn note() -> Note {
    Note::new("ann", "because", OffsetDateTime::UNIX_EPOCH)
}

async fn log(folder: &TempDir) -> anyhow::Result<Log> {
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    Ok(Log::open(&url, LogOptions::default()).await?)
}

#[tokio::test]
async fn a_flags_changes_are_events_and_a_restart_rebuilds_it_from_them() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let control = Control::open(config(&folder, "/api")?, None).await?;
    control
        .flags()
        .change("f", &percent(12.5)?, &note(), Some(1))
        .await?;
    let killed = control
        .flags()
        .change("f", &Patch::kill(), &note(), None)
        .await?;
    assert_eq!(
        (killed.outcome, killed.state.version),
        (Outcome::Recorded, 3)
    );
    drop(control);

    let log = log(&folder).await?;
    let events = log.read(&ReadQuery::after(0).stream("flag-f")).await?;
    let told: Vec<_> = events
        .iter()
        .map(|it| {
            (
                it.event.version,
                it.event.event_type.as_str(),
                it.event.payload["actor"].as_str(),
            )
        })
        .collect();
    let expected = [
        (1, "flag.changed", Some("file")),
        (2, "flag.changed", Some("ann")),
        (3, "flag.changed", Some("ann")),
    ];
    assert_eq!(told, expected);
    assert_eq!(events[1].event.payload["before"]["percent"], 0.0);
    assert_eq!(events[1].event.payload["after"]["percent"], 12.5);
    assert_eq!(events[2].event.payload["after"]["killed"], true);

    let control = Control::open(config(&folder, "/api")?, Some(log)).await?;
    let state = control.flags().state("f")?;
    assert_eq!((state.version, state.killed), (3, true));
    assert_eq!(control.flags().history("f")?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_replica_follows_and_of_two_that_expect_one_version_one_wins() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let log = log(&folder).await?;
    let one = Control::open(config(&folder, "/api")?, Some(log.clone())).await?;
    let other = Arc::new(Control::open(config(&folder, "/api")?, Some(log)).await?);
    let shutdown = Shutdown::new();
    let following = tokio::spawn({
        let (flags, shutdown) = (other.flags().clone(), shutdown.clone());
        async move { flags.follow(OffsetDateTime::now_utc, shutdown).await }
    });
    let (first, second) = (percent(10.0)?, percent(20.0)?);
    let note = note();
    let (a, b) = tokio::join!(
        one.flags().change("f", &first, &note, Some(1)),
        other.flags().change("f", &second, &note, Some(1)),
    );
    let is_stale =
        |it: &Result<_, ChangeError>| matches!(it, Err(ChangeError::Stale { current: 2 }));
    assert!(
        (a.is_ok() && is_stale(&b)) || (is_stale(&a) && b.is_ok()),
        "{a:?} {b:?}"
    );

    one.flags()
        .change("f", &percent(30.0)?, &note, None)
        .await?;
    for _ in 0..1_000 {
        if other.flags().state("f")?.version == 3 {
            break;
        }
        // Between two looks at a condition that has a bound.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        other.flags().state("f")?.settings.percent.hundredths(),
        3_000
    );
    shutdown.trigger();
    following.await?;
    Ok(())
}

#[tokio::test]
async fn a_route_is_an_event_when_its_declaration_changes_and_not_at_each_start()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let log = log(&folder).await?;
    for prefix in ["/api", "/api", "/v2"] {
        Control::open(config(&folder, prefix)?, Some(log.clone())).await?;
    }
    let events = log
        .read(&ReadQuery::after(0).stream("route-answers"))
        .await?;
    let prefixes: Vec<_> = events
        .iter()
        .map(|it| it.event.payload["after"]["prefix"].as_str())
        .collect();
    assert_eq!(prefixes, [Some("/api"), Some("/v2")]);
    assert_eq!(events[1].event.payload["before"]["prefix"], "/api");
    Ok(())
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_leaves_the_gateway_not_ready_and_says_why()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = config(&folder, "/api")?;
    config.log = Some("sqlite:/proc/none/log.db".to_owned());
    let control = Control::open(config, None).await?;
    assert!(control.flags().readiness().is_err());
    let refused = control
        .flags()
        .change("f", &percent(10.0)?, &note(), None)
        .await;
    let Err(ChangeError::LogUnavailable(reason)) = refused else {
        anyhow::bail!("not refused: {refused:?}");
    };
    assert!(reason.contains("setting `log`"), "{reason}");
    let killed = control
        .flags()
        .change("f", &Patch::kill(), &note(), None)
        .await?;
    assert!(killed.state.killed);
    Ok(())
}

#[tokio::test]
async fn a_rollback_works_while_postgresql_is_cut_off_and_is_in_the_log_afterwards()
-> anyhow::Result<()> {
    let database = testkit::database().await;
    let (_, address) = database.url().split_once('@').unwrap_or_default();
    let (address, _) = address.split_once('/').unwrap_or_default();
    for broken in [Mode::Refuse, Mode::Blackhole] {
        let proxy = FaultProxy::start(address.parse()?).await?;
        let folder = tempfile::tempdir()?;
        let mut config = config(&folder, "/api")?;
        config.log = Some(
            database
                .url()
                .replace(address, &proxy.address().to_string()),
        );
        config.state_file = Some(folder.path().join("flags.json"));
        let control = Arc::new(Control::open(config, None).await?);
        let shutdown = Shutdown::new();
        let following = tokio::spawn({
            let (flags, shutdown) = (control.flags().clone(), shutdown.clone());
            async move { flags.follow(OffsetDateTime::now_utc, shutdown).await }
        });
        let clear = Patch {
            killed: Some(false),
            ..percent(100.0)?
        };
        let before = control.flags().change("f", &clear, &note(), None).await?;
        assert_eq!(before.outcome, Outcome::Recorded, "{broken:?}");

        proxy.set(broken).await;
        let kill = tokio::spawn({
            let flags = control.flags().clone();
            async move { flags.change("f", &Patch::kill(), &note(), None).await }
        });
        eventually(Duration::from_secs(1), async || {
            Ok::<_, ChangeError>(control.flags().state("f")?.killed)
        })
        .await;
        assert_eq!(kill.await??.outcome, Outcome::Pending);
        let refused = control
            .flags()
            .change("f", &percent(50.0)?, &note(), None)
            .await;
        assert!(
            matches!(refused, Err(ChangeError::LogUnavailable(_))),
            "{refused:?}"
        );

        proxy.set(Mode::Pass).await;
        eventually(Duration::from_secs(60), async || {
            !control.flags().is_pending("f")
        })
        .await;
        let after = control.flags().state("f")?;
        assert_eq!(
            (after.version, after.killed),
            (before.state.version + 1, true)
        );
        let log = Log::open(database.url(), LogOptions::default()).await?;
        let events = log
            .read(&ReadQuery::newest().stream("flag-f").limit(1))
            .await?;
        assert_eq!(events[0].event.payload["after"]["killed"], true);
        shutdown.trigger();
        following.await?;
    }
    Ok(())
}
