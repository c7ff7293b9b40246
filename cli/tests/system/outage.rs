//! A database that is gone, service by service: 503 with Retry-After at once, and well again by
//! itself once it is back.

use std::{collections::BTreeMap, net::SocketAddr};

use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use testkit::{
    TestDatabase, eventually,
    proxy::{FaultProxy, Mode},
};

use crate::{
    PATIENCE,
    distributed::{SERVICES, Setup, System},
    player::{Player, expect},
};

/// A path of each service that its database answers.
const READS: [(&str, &str); 7] = [
    ("legacy", "/api/stats/me"),
    ("auth", "/api/auth/profile"),
    ("question", "/api/questions/random"),
    ("quiz", "/api/stats/me"),
    ("achievement", "/api/achievements/me"),
    ("leaderboard", "/api/leaderboard/entries?quizMode=classic"),
    ("admin", "/api/admin/questions"),
];

/// A write of each of two services: nothing of it may be there afterwards.
const REGISTER: &str = "/api/auth/register";

async fn answer(url: &str, player: &Player) -> reqwest::Response {
    let request = reqwest::Client::new().get(url);
    let request = request.bearer_auth(&player.session.access_token);
    request.send().await.expect("the service itself is there")
}

async fn is_unavailable(response: reqwest::Response) {
    let url = response.url().clone();
    let retry_after = response.headers().get(header::RETRY_AFTER).cloned();
    let problem: Value = expect(response, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(retry_after.is_some(), "{url}: {problem}");
    assert!(problem["code"].is_string(), "{url}: {problem}");
}

#[tokio::test]
async fn a_service_without_its_database_says_so_and_heals_by_itself() {
    let mut databases: BTreeMap<String, TestDatabase> = BTreeMap::new();
    for name in SERVICES.iter().chain(&["log"]) {
        databases.insert((*name).to_owned(), testkit::database().await);
    }
    let server: SocketAddr = server_of(databases["log"].url());
    let proxy = FaultProxy::start(server).await.expect("a proxy");
    let (direct, proxied) = (server.to_string(), proxy.address().to_string());
    let system = System::start_as(Setup {
        databases,
        reached_as: Box::new(move |url| url.replace(&direct, &proxied)),
        ..Setup::default()
    })
    .await;
    system.verb(&["sync", "backfill"]).await;
    // One whose token opens the administrators' paths, too.
    let player = system.administrator().await;
    for (service, path) in READS {
        let url = format!("{}{path}", system.url(service));
        assert_eq!(
            answer(&url, &player).await.status(),
            StatusCode::OK,
            "{url}"
        );
    }
    let newcomer = json!({
        "email": "newcomer@example.org", "password": "correct horse battery",
        "displayName": "Newcomer",
    });
    let register = format!("{}{REGISTER}", system.url("auth"));
    let registering = || {
        reqwest::Client::new()
            .post(&register)
            .json(&newcomer)
            .send()
    };

    for mode in [Mode::Refuse, Mode::Reset, Mode::Blackhole] {
        proxy.set(mode).await;
        // All at once: a server that is silent costs each of them a wait.
        let asked = READS.map(|(service, path)| {
            let url = format!("{}{path}", system.url(service));
            let player = &player;
            async move { is_unavailable(answer(&url, player).await).await }
        });
        futures::future::join_all(asked).await;
        is_unavailable(registering().await.expect("an answer")).await;
        proxy.set(Mode::Pass).await;
        for (service, path) in READS {
            let url = format!("{}{path}", system.url(service));
            eventually(PATIENCE, || async {
                answer(&url, &player).await.status() == StatusCode::OK
            })
            .await;
        }
    }
    // Nothing of the refused registrations stayed.
    let registered = registering().await.expect("an answer");
    assert_eq!(registered.status(), StatusCode::CREATED);
}

/// The address in `postgres://user@address/database`.
fn server_of(url: &str) -> SocketAddr {
    let address = url
        .split('@')
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let address = address.expect("an address in the URL");
    address
        .replace("localhost", "127.0.0.1")
        .parse()
        .expect("an address")
}
