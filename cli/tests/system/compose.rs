//! The compose deployment without Docker: `docker-compose config` says what each container would be
//! told, and the same programs are run with exactly that.

mod file;
mod image;
mod rendered;
mod running;

use std::{collections::BTreeMap, path::PathBuf, process::Command, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};

use self::{rendered::Compose, running::Deployment};
use crate::player::{Player, expect};

/// The repository's root, where docker-compose.yml is.
fn root() -> PathBuf {
    std::path::absolute(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("an absolute path")
}

/// What `deploy/secrets.sh PROFILE` writes; fresh secrets each time.
fn secrets(profile: &str) -> String {
    let output = Command::new(root().join("deploy/secrets.sh"))
        .arg(profile)
        .output()
        .expect("the script runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// `NAME=value` lines.
fn variables(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('=').expect("NAME=value"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test]
async fn what_compose_tells_its_containers_is_a_system_that_starts_in_order_plays_and_stops() {
    let mut deployment = Deployment::prepare(Compose::render(&secrets("core"))).await;
    assert!(
        !deployment.is_healthy("quiz"),
        "a part that does not run must not look healthy"
    );
    deployment.start().await;

    let gateway = deployment.url("gateway", 8080);
    let mut player = Player::register(&gateway, "Grace").await;
    deployment.operator(&["sync", "backfill"]).await;
    for flag in ["auth-cutover", "quiz-cutover"] {
        let set = ["flags", "set", flag, "--percent", "100", "--reason", "test"];
        deployment.operator(&set).await;
    }
    player.login().await;
    let question = &player.questions().await[0];
    let answer = player.answer(question, "one").await.expect("an answer");
    assert_eq!(answer.headers()["x-banyan-upstream"], "quiz");
    let _: Value = expect(answer, StatusCode::OK).await;
    // The monolith gave out this token's sibling; both sides share the signing keys.
    assert_eq!(player.get("/api/stats/me").await["answered"], 1);
    deployment.operator(&["audit"]).await;
    deployment.operator(&["doctor"]).await;
    // Without the gateway's secrets, which are in the gateway's environment.
    let file = "/deploy/gateway/gateway.toml";
    let checked = deployment.operator(&["routes", "check", file]).await;
    assert_eq!(checked["flags"], 5);
    let diff = ["routes", "diff", file, "--live", file];
    assert_eq!(deployment.operator(&diff).await["items"], json!([]));

    let flags = format!("{}/admin/flags", deployment.url("gateway", 8081));
    let unknown = reqwest::get(flags).await.expect("the admin port answers");
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);
    let ops = format!("{}/ops/consumers", deployment.url("quiz", 9003));
    let unknown = reqwest::get(ops).await.expect("the service answers");
    assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED);

    // The events went over NATS, with the credentials of nats.conf.
    testkit::eventually(Duration::from_secs(30), || async {
        let report = reqwest::get(format!("{}/jsz", deployment.url("nats", 8222))).await?;
        let report: Value = report.json().await?;
        anyhow::ensure!(report["messages"].as_u64() > Some(0), "{report}");
        anyhow::Ok(())
    })
    .await;
    archive_the_log(&deployment, &gateway).await;
    deployment.check_rights();
    deployment.stop().await;
}

/// The hourly job, now: a service tells the log how far its backup reaches.
async fn archive_the_log(deployment: &Deployment, gateway: &str) {
    let variables = &deployment.compose().services["legacy"].environment;
    let password = &variables["BANYAN_LEGACY__ADMINISTRATOR__PASSWORD"];
    let administrator = Player::curator(gateway, password).await;
    let maintenance = deployment.url("maintenance", 9007);
    let run = reqwest::Client::new()
        .post(format!("{maintenance}/api/admin/maintenance/log-archive"))
        .bearer_auth(&administrator.session.access_token)
        .header("prefer", "wait=10")
        .json(&json!({}))
        .send()
        .await
        .expect("maintenance answers");
    let run: Value = expect(run, StatusCode::OK).await;
    assert_eq!(run["status"], "completed", "{run}");
}
