//! runbooks/bad-release.md: the quiz service is released with a user who lacks a right: it starts, is
//! ready, and fails each answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Drill, restore_from_backup::on_its_own_server};
use crate::player::Player;

/// Plays through the gateway, whatever comes back, until told to stop.
async fn play(player: Player, stopped: Arc<AtomicBool>) {
    let question = player.questions().await.swap_remove(0);
    let mut number = 0;
    while !stopped.load(Ordering::Relaxed) {
        number += 1;
        let key = format!("release {number}");
        // What it is told is the runbook's matter.
        let _ = player.answer(&question, &key).await;
        // A player thinks; without a pause failing answers would come by the thousand.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn bad_release() {
    let mut drill = Drill::on("bad-release.md", on_its_own_server()).await;
    let gateway = drill.system().await.url("gateway");
    let stopped = Arc::new(AtomicBool::new(false));
    let mut playing = Vec::new();
    for number in 0..2 {
        let player = Player::register(&gateway, &format!("Player {number}")).await;
        playing.push(tokio::spawn(play(player, Arc::clone(&stopped))));
    }
    drill
        .sql(
            "quiz",
            "CREATE ROLE released LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO released;
             GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO released;
             REVOKE INSERT ON answers FROM released",
        )
        .await;
    {
        let mut system = drill.system().await;
        let database = system.database("quiz").to_owned();
        let wrong = database.replace("postgres@", "released@");
        for part in system.replicas("quiz") {
            let file = system.file(&part);
            let good = std::fs::read_to_string(&file).expect("its file");
            std::fs::write(file.with_extension("previous"), &good).expect("writable");
            std::fs::write(&file, good.replace(&database, &wrong)).expect("writable");
            system.stop(&part, crate::PATIENCE).await;
            system.start_again(&part).await;
        }
    }
    drill
        .found("the quiz service was released with a user that may not write answers")
        .await;
    drill.variable("SERVICE", "quiz");
    drill.variable("FLAG", "quiz-cutover");
    drill.variable("RELEASE", "previous");
    drill.look().await;
    drill.is_there_still().await;
    drill.act_block(0).await;
    // Players are served again at once, by the monolith.
    let answer = Player::register(&gateway, "Somebody").await;
    let question = answer.questions().await.swap_remove(0);
    let served = answer.answer(&question, "after the rollback").await;
    let served = served.expect("an answer of the gateway");
    assert_eq!(served.headers()["x-banyan-upstream"], "legacy");
    assert!(served.status().is_success(), "{}", served.status());
    drill.act_block(1).await;
    drill.act_block(2).await;
    // The runbook waited for it: next, players come back.
    let system = drill.system().await;
    for part in system.replicas("quiz") {
        let ready = format!("{}/health/ready", system.url(&part));
        let answer = reqwest::get(ready).await.expect("it runs");
        assert_eq!(answer.status(), reqwest::StatusCode::OK, "{part}");
    }
    drop(system);
    drill.act_from(3).await;
    drill.verify().await;
    stopped.store(true, Ordering::Relaxed);
    for player in playing {
        player.await.expect("the player's task");
    }
    drill.undo().await;
    drill.end().await;
}
