//! runbooks/gateway-overloaded.md: a few clients ask without a pause, and the gateway lets two of
//! their requests through at a time.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use reqwest::Method;

use super::Drill;
use crate::{
    distributed::{Setup, System},
    player::Player,
};

/// Requests under way at once: more than the bulkhead takes, and few enough for two cores.
const CLIENTS: usize = 8;

#[tokio::test]
async fn gateway_overloaded() {
    let setup = Setup {
        settings: vec![("upstreams.quiz", "max_in_flight = 2".to_owned())],
        ..Setup::default()
    };
    let mut drill = Drill::on("gateway-overloaded.md", System::start_as(setup)).await;
    let gateway = drill.system().await.url("gateway");
    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let player = Player::register(&gateway, &format!("Client {number}")).await;
        clients.push(tokio::spawn(ask(player, Arc::clone(&is_over))));
    }
    drill
        .found("eight clients ask without a pause; two at a time are let through")
        .await;
    drill.look().await;
    drill.is_there_still().await;
    // They go on asking.
    drill.act().await;
    drill.verify().await;
    is_over.store(true, Ordering::Relaxed);
    futures::future::join_all(clients).await;
    drill.undo().await;
    drill.end().await;
}

async fn ask(player: Player, is_over: Arc<AtomicBool>) {
    while !is_over.load(Ordering::Relaxed) {
        let answer = player.call(Method::GET, "/api/stats/me", None).await;
        let status = answer.status();
        assert!(status.is_success() || status == 503, "{status}");
    }
}
