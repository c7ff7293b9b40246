//! runbooks/cut-over.md: a plan, so nothing is broken and the doctor finds nothing.

use super::Drill;
use crate::distributed::System;

#[tokio::test]
async fn cut_over() {
    let mut drill = Drill::on_legacy("cut-over.md", System::start()).await;
    drill.look().await;
    drill.act().await;
    drill.verify().await;
    drill.moved();
    drill.plays().await;
    drill.undo().await;
    drill.end().await;
}
