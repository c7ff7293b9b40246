//! runbooks/broker-down.md: the backup takes over when the first server goes; then it goes, too.

use super::Drill;
use crate::distributed::{Setup, System};

#[tokio::test]
async fn broker_down() {
    let setup = Setup {
        brokers: 2,
        ..Setup::default()
    };
    let mut drill = Drill::on("broker-down.md", System::start_as(setup)).await;
    kill(&drill, 0).await;
    // Nobody had to do anything.
    drill.is_well().await;
    drill.plays().await;

    kill(&drill, 1).await;
    drill
        .found("both servers of NATS were killed (SIGKILL)")
        .await;
    drill.look().await;
    drill.plays().await;
    drill.is_there_still().await;
    // The first server is beyond help for now.
    drill.act_block(1).await;
    drill.verify().await;
    drill.undo().await;

    kill(&drill, 0).await;
    kill(&drill, 1).await;
    drill.found("both servers were killed again").await;
    drill.act_block(0).await;
    drill.verify().await;
    drill.end().await;
}

async fn kill(drill: &Drill, broker: usize) {
    let mut system = drill.system().await;
    system.brokers[broker].kill().await.expect("it was running");
}
