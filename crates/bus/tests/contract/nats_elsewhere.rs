//! NATS over TLS: whom we believe, and what we show.

use bus::{Bus, NatsBus, NatsOptions};
use testkit::{Nats, eventually};

use crate::{
    authority::Authority,
    events::{PATIENCE, publish, run, subscribe, until},
};

async fn connect(url: &str) -> NatsBus {
    let bus = NatsBus::connect(url, NatsOptions::default()).await;
    bus.expect("a usable address")
}

/// Nobody comes in who has this address; a server of its own tells whose attempts failed.
async fn is_refused(server: &Nats, url: &str) {
    let bus = connect(url).await;
    eventually(PATIENCE, || async {
        let output = server.output().unwrap_or_default();
        output.matches("TLS handshake error").count() > 1
    })
    .await;
    assert!(bus.reachable().is_err(), "{url}");
}

async fn is_taken(url: &str) {
    let bus = connect(url).await;
    let mut subscription = subscribe(&bus).await;
    publish(&bus, &run(1..=300)).await;
    let positions = until(&mut subscription, 300).await;
    assert_eq!(positions, (1..=300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_is_spoken_to_over_tls_and_another_authoritys_is_not() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.vouch_for("127.0.0.1");
    // What this machine trusts does not include this one, and a name is part of it.
    let wrong: [fn(&Authority, &Authority, &str) -> String; 3] = [
        |_, stranger, url| stranger.believed(url),
        |_, _, url| url.to_owned(),
        |authority, _, url| authority.believed(&url.replace("127.0.0.1", "localhost")),
    ];
    for wrong in wrong {
        let server = Nats::start_with_tls(&certificate, &key, None).await;
        let server = server.expect("nats-server starts");
        let url = server.url().replace("nats://", "tls://");
        is_refused(&server, &wrong(&authority, &stranger, &url)).await;
        is_taken(&authority.believed(&url)).await;
    }
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_shown_a_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.vouch_for("127.0.0.1");
    for shows in [false, true] {
        let asks = authority.certificate();
        let server = Nats::start_with_tls(&certificate, &key, Some(&asks)).await;
        let server = server.expect("nats-server starts");
        let believed = authority.believed(&server.url().replace("nats://", "tls://"));
        let wrong = match shows {
            false => believed.clone(),
            true => stranger.shows("banyan", &believed),
        };
        is_refused(&server, &wrong).await;
        is_taken(&authority.shows("banyan", &believed)).await;
    }
}
