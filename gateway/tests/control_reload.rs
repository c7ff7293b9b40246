//! Editing the configuration file while the gateway runs.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use chassis::Shutdown;
use gateway::{
    Config,
    control::Control,
    flag::{Note, Patch, Percent},
    reload::{self, Step},
};
use http::{HeaderMap, Method};
use tempfile::TempDir;
use time::OffsetDateTime;

/// A step, and the upstreams that it named.
type Told = (Step, Vec<String>);

/// A watched file, and what was told of it.
struct Watched {
    folder: TempDir,
    control: Arc<Control>,
    told: Arc<Mutex<Vec<Told>>>,
    shutdown: Shutdown,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

fn text(percent: &str, legacy: &str, prefix: &str) -> String {
    format!(
        r#"
        [upstreams.{legacy}]
        endpoints = ["http://127.0.0.1:9000"]
        [upstreams.quiz]
        endpoints = ["http://127.0.0.1:9003"]
        [flags.f]
        percent = {percent}
        [[routes]]
        id = "answers"
        prefix = "{prefix}"
        legacy = "{legacy}"
        candidate = "quiz"
        flag = "f"
        "#
    )
}

impl Watched {
    async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, text("10", "legacy", "/api"))?;
        let control = Arc::new(Control::open(Config::load(&path)?, None).await?);
        let told = Arc::new(Mutex::new(Vec::new()));
        let shutdown = Shutdown::new();
        let follow = {
            let told = Arc::clone(&told);
            move |config: &Config, step| {
                let upstreams = config.upstreams.keys().map(ToString::to_string).collect();
                told.lock()
                    .expect("nobody panicked")
                    .push((step, upstreams));
            }
        };
        tokio::spawn(reload::watch(
            path,
            Arc::clone(&control),
            follow,
            shutdown.clone(),
        ));
        Ok(Self {
            folder,
            control,
            told,
            shutdown,
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    fn route(&self, path: &str) -> Option<String> {
        let table = self.control.table();
        table
            .find(None, &Method::GET, path, &HeaderMap::new())
            .map(|found| found.route.id.to_string())
    }

    fn percent(&self) -> f64 {
        self.control
            .flags()
            .state("f")
            .map_or(-1.0, |state| state.settings.percent.as_number())
    }
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        // Between two looks at a condition that has a bound.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 10 s: {what}");
}

#[tokio::test]
async fn an_edit_swaps_the_table_and_keeps_the_flag_and_old_requests_their_table()
-> anyhow::Result<()> {
    let watched = Watched::start().await?;
    let under_way = watched.control.table().clone();
    let before = watched.control.flags().cells();
    std::fs::write(watched.path(), text("10", "monolith", "/v2"))?;
    wait_until("the new prefix", || watched.route("/v2/x").is_some()).await;
    assert_eq!(watched.route("/api/x"), None);
    assert!(
        under_way
            .find(None, &Method::GET, "/api/x", &HeaderMap::new())
            .is_some(),
        "its own table, to the end"
    );
    let after = watched.control.flags().cells();
    assert!(
        Arc::ptr_eq(&before["f"], &after["f"]),
        "one cell, whatever the table"
    );
    let steps = || watched.told.lock().expect("nobody panicked").clone();
    wait_until("both steps", || steps().len() == 2).await;
    let expected = [
        (
            Step::Prepare,
            vec![
                "legacy".to_owned(),
                "monolith".to_owned(),
                "quiz".to_owned(),
            ],
        ),
        (Step::Settle, vec!["monolith".to_owned(), "quiz".to_owned()]),
    ];
    assert_eq!(steps(), expected);
    Ok(())
}

#[tokio::test]
async fn a_faulty_edit_changes_nothing_and_is_told_until_it_is_mended() -> anyhow::Result<()> {
    let watched = Watched::start().await?;
    std::fs::write(watched.path(), text("10.123", "legacy", "v2"))?;
    wait_until("the faults", || watched.control.fault().is_some()).await;
    let faults = watched
        .control
        .fault()
        .map(|faults| faults.to_string())
        .unwrap_or_default();
    assert!(
        faults.contains("flags.f.percent") && faults.contains("routes.answers.prefix"),
        "{faults}"
    );
    assert_eq!(watched.route("/api/x").as_deref(), Some("answers"));
    std::fs::write(watched.path(), text("10", "legacy", "/api"))?;
    wait_until("no faults", || watched.control.fault().is_none()).await;
    Ok(())
}

#[tokio::test]
async fn a_file_that_vanishes_changes_nothing() -> anyhow::Result<()> {
    let watched = Watched::start().await?;
    std::fs::remove_file(watched.path())?;
    wait_until("the fault", || watched.control.fault().is_some()).await;
    assert_eq!(watched.route("/api/x").as_deref(), Some("answers"));
    std::fs::write(watched.path(), text("10", "legacy", "/back"))?;
    wait_until("the new file", || watched.route("/back").is_some()).await;
    std::fs::rename(watched.path(), watched.folder.path().join("away"))?;
    wait_until("the second fault", || watched.control.fault().is_some()).await;
    std::fs::rename(watched.folder.path().join("away"), watched.path())?;
    wait_until("the same file again", || watched.control.fault().is_none()).await;
    Ok(())
}

#[tokio::test]
async fn an_edited_flag_is_a_change_by_the_file_field_by_field() -> anyhow::Result<()> {
    let watched = Watched::start().await?;
    let note = Note::new("ann", "by hand", OffsetDateTime::UNIX_EPOCH);
    let by_hand = Patch {
        drain: Some(true),
        ..Patch::default()
    };
    watched
        .control
        .flags()
        .change("f", &by_hand, &note, None)
        .await?;
    std::fs::write(watched.path(), text("35.5", "legacy", "/api"))?;
    wait_until("the new percent", || {
        (watched.percent() - 35.5).abs() < f64::EPSILON
    })
    .await;
    let state = watched.control.flags().state("f")?;
    assert!(state.settings.drain, "what was set by hand stays");
    assert_eq!(state.version, 3);
    assert_eq!(watched.control.flags().history("f")?[0].actor, "file");

    let higher = Patch {
        percent: Some(Percent::from_number(50.0)?),
        ..Patch::default()
    };
    watched
        .control
        .flags()
        .change("f", &higher, &note, None)
        .await?;
    std::fs::write(watched.path(), text("35.5", "legacy", "/other"))?;
    wait_until("the new prefix", || watched.route("/other").is_some()).await;
    assert_eq!(
        watched.percent(),
        50.0,
        "a field that was not edited stays as it was set by hand"
    );
    Ok(())
}

#[tokio::test]
async fn settings_of_the_start_stay_until_a_restart() -> anyhow::Result<()> {
    let watched = Watched::start().await?;
    let listen = watched.control.config().listen;
    let edited = format!("listen = \"127.0.0.1:1\"\n{}", text("10", "legacy", "/v3"));
    std::fs::write(watched.path(), edited)?;
    wait_until("the new prefix", || watched.route("/v3").is_some()).await;
    assert_eq!(watched.control.config().listen, listen);
    Ok(())
}
