//! runbooks/service-crashed.md

use super::Drill;
use crate::distributed::System;

#[tokio::test]
async fn service_crashed() {
    let mut drill = Drill::on("service-crashed.md", System::start()).await;
    drill.variable("PART", "achievement");
    drill.system().await.kill("achievement");
    drill
        .found("the achievement service was killed (SIGKILL)")
        .await;
    drill.follow().await;
}
