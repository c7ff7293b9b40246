//! runbooks/log-lost.md: the log's database is gone, the services' are not.

use serde_json::{Value, json};
use testkit::eventually;

use super::{Drill, restore_from_backup::on_its_own_server};
use crate::PATIENCE;

/// Archives the log now, instead of at its hour.
async fn archive(drill: &Drill) {
    let administrator = drill.system().await.administrator().await;
    let maintenance = drill.system().await.url("maintenance");
    let archived = reqwest::Client::new()
        .post(format!("{maintenance}/api/admin/maintenance/log-archive"))
        .bearer_auth(&administrator.session.access_token)
        .json(&json!({}))
        .send()
        .await
        .expect("maintenance answers");
    assert!(archived.status().is_success(), "{}", archived.status());
    let folder = drill.system().await.folder().join("archive");
    eventually(PATIENCE, || async {
        let epochs = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        epochs
            .map(|epoch| epoch.path().join("manifest.json"))
            .any(|manifest| manifest.is_file())
    })
    .await;
}

#[tokio::test]
async fn log_lost() {
    let mut drill = Drill::on("log-lost.md", on_its_own_server()).await;
    let folder = drill.system().await.folder().join("archive");
    drill.variable("ARCHIVE_DIR", &folder.display().to_string());
    let nats = drill.system().await.brokers[0].url();
    drill.variable("NATS", &nats);
    archive(&drill).await;
    // What comes after the archive is in the outboxes and in NATS alone; a flag's change in NATS.
    drill.plays().await;
    let most = [
        "flags",
        "set",
        "auth-cutover",
        "--percent",
        "99",
        "--reason",
        "after the archive",
    ];
    drill.system().await.verb(&most).await;
    drill.plays().await;
    let (name, before) = {
        let system = drill.system().await;
        let url = system.database("log");
        let name = url.rsplit('/').next().unwrap_or_default().to_owned();
        (name, system.verb(&["events", "stats"]).await)
    };
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    drill.sql("quiz", &drop).await;
    drill.found("the log's database was dropped").await;
    drill.look().await;
    drill.is_there_still().await;
    drill.act().await;
    drill.verify().await;
    {
        let system = drill.system().await;
        let after = system.verb(&["events", "stats"]).await;
        let head = |stats: &Value| stats["head"].as_i64().expect("a head");
        assert!(head(&after) >= head(&before), "{before} {after}");
        assert_ne!(before["epoch"], after["epoch"]);
        let flags = system.verb(&["flags", "list"]).await;
        let flags = flags["items"].as_array().expect("items").clone();
        let auth = flags.iter().find(|flag| flag["id"] == "auth-cutover");
        assert_eq!(auth.expect("the flag")["percent"], 99.0, "nothing was lost");
    }
    let stats = drill.player().get("/api/stats/me").await;
    assert_eq!(stats["answered"], 3);
    drill.undo().await;
    drill.end().await;
}
