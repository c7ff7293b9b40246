//! RabbitMQ over TLS, and as a cluster: what is promised of its addresses.

use bus::{Bus, RabbitBus};
use testkit::{Rabbit, RabbitCluster, eventually};

use crate::{
    authority::Authority,
    brokers::rabbit_options,
    events::{PATIENCE, publish, run, subscribe, until},
    promises::heard_again,
};

/// Why nobody is connected, once it is known.
async fn reason(bus: &RabbitBus) -> String {
    eventually(PATIENCE, || async {
        let reason = bus.reachable().err();
        reason.filter(|reason| reason.starts_with("not connected: "))
    })
    .await
}

#[tokio::test]
async fn a_server_is_spoken_to_over_tls_and_another_authoritys_is_not() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.vouch_for("127.0.0.1");
    let server = Rabbit::start_with_tls(&certificate, &key, None).await;
    let server = server.expect("RabbitMQ starts");
    let url = server.tls_url();
    let connect = |url: &str| RabbitBus::connect(url, rabbit_options("tls")).expect("usable");

    // What this machine trusts does not include this one, and a name is part of it.
    let elsewhere = authority.believed(&url.replace("127.0.0.1", "localhost"));
    for url in [stranger.believed(&url), url.clone(), elsewhere] {
        let reason = reason(&connect(&url)).await;
        assert!(reason.contains("certificate"), "{url}: {reason}");
    }
    // The same port without TLS is no way in.
    let plain = connect(&url.replace("amqps://", "amqp://"));
    reason(&plain).await;

    let bus = connect(&authority.believed(&url));
    let mut subscription = subscribe(&bus).await;
    // More than a record of TLS holds, both ways.
    publish(&bus, &run(1..=1_000)).await;
    let positions = until(&mut subscription, 1_000).await;
    assert_eq!(positions, (1..=1_000).collect::<Vec<_>>());
    let all = bus.remembered(0, i64::MAX).await.expect("it answers");
    assert_eq!(all, run(1..=1_000));
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_shown_a_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.vouch_for("127.0.0.1");
    let server = Rabbit::start_with_tls(&certificate, &key, Some(&authority.certificate())).await;
    let server = server.expect("RabbitMQ starts");
    let connect = |url: &str| RabbitBus::connect(url, rabbit_options("shown")).expect("usable");
    let believed = authority.believed(&server.tls_url());
    for url in [&believed, &stranger.shows("banyan", &believed)] {
        reason(&connect(url)).await;
    }
    let bus = connect(&authority.shows("banyan", &believed));
    let mut subscription = subscribe(&bus).await;
    publish(&bus, &run(1..=10)).await;
    until(&mut subscription, 10).await;
}

#[tokio::test]
async fn a_cluster_that_loses_the_node_in_use_goes_on_at_the_next_address() {
    let mut cluster = RabbitCluster::start().await.expect("RabbitMQ starts");
    let options = rabbit_options("cluster");
    let bus = RabbitBus::connect(&cluster.url(), options).expect("usable");
    let mut subscription = subscribe(&bus).await;
    let mut last = 300;
    publish(&bus, &run(1..=last)).await;
    until(&mut subscription, last).await;
    for place in 0..2 {
        for node in &cluster.nodes {
            eventually(PATIENCE, || async { node.has_noted_streams() }).await;
        }
        let connects = bus.status().connects;
        cluster.nodes[place].kill().await.expect("it can be killed");
        publish(&bus, &run(last + 1..=last + 10)).await;
        last += 10;
        assert!(bus.status().connects > connects, "node {place} was in use");
        let all = bus.remembered(0, i64::MAX).await.expect("it answers");
        let mut positions: Vec<i64> = all.iter().map(|event| event.position).collect();
        positions.sort_unstable();
        positions.dedup();
        assert_eq!(
            positions,
            (1..=last).collect::<Vec<_>>(),
            "confirmed, so kept"
        );
        last = heard_again(&bus, &mut subscription, last + 1).await;
        let restarted = cluster.nodes[place].restart().await;
        restarted.expect("it starts");
        // Whoever is connected stays: the next to go is the one that is in use now.
    }
}
