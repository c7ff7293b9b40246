//! runbooks/postgres-down.md: the server is killed and starts again; then its disk is lost, and the
//! standby takes over.

use reqwest::{StatusCode, header};
use serde_json::Value;

use super::{Drill, restore_from_backup::on_its_own_server};
use crate::{distributed::System, player::expect};

async fn with_a_standby() -> System {
    let mut system = on_its_own_server().await;
    let server = system.postgres.as_ref().expect("a server of its own");
    system.standby = Some(server.standby().await.expect("a standby"));
    system
}

/// Ends the server as a crash does.
async fn crash(drill: &Drill) {
    let mut system = drill.system().await;
    let server = system.postgres.as_mut().expect("a server of its own");
    server.crash().await.expect("it ran");
}

#[tokio::test]
async fn postgres_down() {
    let mut drill = Drill::on("postgres-down.md", with_a_standby()).await;
    let question = drill.player().questions().await.swap_remove(0);
    crash(&drill).await;
    drill.found("PostgreSQL was killed").await;
    // Nobody hangs, and nobody is told that it worked.
    let answer = drill.player().answer(&question, "while it is down").await;
    let answer = answer.expect("an answer of the gateway");
    assert!(answer.headers().contains_key(header::RETRY_AFTER));
    let problem: Value = expect(answer, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(problem["code"].is_string(), "{problem}");
    drill.look().await;
    drill.is_there_still().await;
    drill.act().await;
    drill.verify().await;
    assert!(drill.system().await.standby.is_some(), "it started again");
    drill.plays().await;

    crash(&drill).await;
    {
        let system = drill.system().await;
        let server = system.postgres.as_ref().expect("a server of its own");
        std::fs::remove_dir_all(server.data()).expect("the server's disk is lost");
    }
    drill.found("the disk of the primary was lost").await;
    drill.look().await;
    drill.act().await;
    drill.verify().await;
    assert!(drill.system().await.standby.is_none(), "it was promoted");
    let stats = drill.player().get("/api/stats/me").await;
    assert_eq!(stats["answered"], 2, "the standby has every answer");
    drill.undo().await;
    drill.end().await;
}
