//! runbooks/key-compromised.md: a plan, so the doctor finds nothing; every token from before is no
//! good afterwards.

use reqwest::StatusCode;
use testkit::eventually;

use super::Drill;
use crate::{
    PATIENCE,
    distributed::{SERVICES, Setup, System},
};

const OLD_OPS: &str = "old-ops-token-0123456789";
const OLD_ADMIN: &str = "old-admin-token-0123456789";

async fn guarded() -> System {
    let mut settings: Vec<(&'static str, String)> = Vec::new();
    for part in SERVICES.iter().chain(&["log"]) {
        settings.push((part, format!("ops_token = {OLD_OPS:?}")));
    }
    let token = format!("admin_tokens = [{{ name = \"night\", token = {OLD_ADMIN:?} }}]");
    settings.push(("gateway", token));
    let tokens = format!("ops_token = {OLD_OPS:?}\nadmin_token = {OLD_ADMIN:?}");
    settings.push(("operator", tokens));
    System::start_as(Setup {
        settings,
        ..Setup::default()
    })
    .await
}

async fn status(url: &str, token: &str) -> StatusCode {
    let asked = reqwest::Client::new().get(url).bearer_auth(token).send();
    asked.await.expect("an answer").status()
}

#[tokio::test]
async fn key_compromised() {
    let mut drill = Drill::on("key-compromised.md", guarded()).await;
    let (folder, urls) = {
        let system = drill.system().await;
        let paths = [
            ("auth", "/api/auth/profile"),
            ("quiz", "/api/stats/me"),
            ("quiz-2", "/api/stats/me"),
            ("achievement", "/api/achievements/me"),
            ("legacy", "/api/stats/me"),
        ];
        let urls = paths.map(|(part, path)| format!("{}{path}", system.url(part)));
        (system.folder().to_owned(), urls)
    };
    drill.variable("CONFIGURATION", &folder.display().to_string());
    drill.variable("OLD_OPS_TOKEN", OLD_OPS);
    drill.variable("OLD_ADMIN_TOKEN", OLD_ADMIN);
    let stolen = drill.player().session.access_token.clone();
    for url in &urls {
        assert_eq!(status(url, &stolen).await, StatusCode::OK, "{url}");
    }
    drill.look().await;
    drill.act_block(0).await;
    // Everywhere within a bound; the first token that is signed anew makes verifiers look.
    drill.player_logs_in().await;
    let fresh = drill.player().session.access_token.clone();
    for url in &urls {
        eventually(PATIENCE, || async {
            status(url, &fresh).await == StatusCode::OK
                && status(url, &stolen).await == StatusCode::UNAUTHORIZED
        })
        .await;
    }
    drill.act_from(1).await;
    drill.verify().await;
    let system = drill.system().await;
    let admin = format!("{}/admin/flags", system.url("operators"));
    assert_eq!(status(&admin, OLD_ADMIN).await, StatusCode::UNAUTHORIZED);
    for part in SERVICES.iter().chain(&["log", "quiz-2"]) {
        let ops = format!("{}/ops/consumers", system.url(part));
        assert_eq!(
            status(&ops, OLD_OPS).await,
            StatusCode::UNAUTHORIZED,
            "{part}"
        );
    }
    drop(system);
    drill.undo().await;
    drill.end().await;
}
