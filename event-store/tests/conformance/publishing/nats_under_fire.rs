//! What `docs/bus.md` says of each fault of NATS: the consumer goes on from the log while the bus is
//! dead, handles every event once and in order, and hears the bus again when it lives.

use std::sync::Arc;

use bus::{Bus, NatsBus, NatsOptions};
use testkit::{Backend, Disturbance, Nats, NatsCluster, NatsDisturber, eventually};

use super::system::{RECOVERY, System};
use crate::{consumers::handler::Mood, fixture::PATIENCE};

testkit::both_databases!(
    a_server_that_is_stopped_killed_or_wiped_delays_nothing_and_is_heard_again,
    messages_that_are_lost_doubled_and_swapped_are_handled_once_and_in_order,
    a_connection_that_carries_no_message_any_more_is_told_by_silence,
    an_answer_that_is_lost_stores_nothing_twice,
    a_stream_that_is_deleted_under_a_consumer_is_made_again,
    a_consumer_too_slow_for_the_bus_misses_nothing,
);

const STREAM: &str = "BANYAN_EVENTS";

async fn connect(url: &str, options: NatsOptions) -> Arc<dyn Bus> {
    let bus = NatsBus::connect(url, options).await.unwrap();
    Arc::new(bus)
}

/// A publisher and a consumer, which reach NATS under these addresses.
async fn system(backend: Backend, publishes: &str, listens: &str) -> System {
    let published = connect(publishes, NatsOptions::default()).await;
    let heard = connect(listens, NatsOptions::default()).await;
    System::start(backend, published, heard).await
}

async fn a_server_that_is_stopped_killed_or_wiped_delays_nothing_and_is_heard_again(
    backend: Backend,
) {
    let mut server = Nats::start().await.unwrap();
    let url = server.url();
    let mut system = system(backend, &url, &url).await;
    system.hears_the_bus().await;
    server.stop().await.unwrap();
    system.flows().await;
    server.restart().await.unwrap();
    system.hears_the_bus().await;
    server.kill().await.unwrap();
    system.flows().await;
    server.restart().await.unwrap();
    system.hears_the_bus().await;
    server.kill().await.unwrap();
    system.flows().await;
    server.restart_empty().await.unwrap();
    system.hears_the_bus().await;
    system.ends_well().await;
}

/// In the distributed form: the database that it has.
#[tokio::test]
async fn a_cluster_that_loses_its_leader_and_then_its_majority_stops_no_consumer() {
    let mut cluster = NatsCluster::start().await.unwrap();
    let url = cluster.url();
    let replicated = NatsOptions {
        replicas: 3,
        ..NatsOptions::default()
    };
    let published = connect(&url, replicated).await;
    let heard = connect(&url, NatsOptions::default()).await;
    let mut system = System::start(Backend::postgres().await, published.clone(), heard).await;
    system.hears_the_bus().await;
    let mut gone = Vec::new();
    for _ in 0..2 {
        let leader = eventually(RECOVERY, || async {
            let leader = cluster.leader(STREAM).await;
            leader.filter(|leader| !gone.contains(leader))
        })
        .await;
        cluster.servers[leader].kill().await.unwrap();
        gone.push(leader);
        // Nobody waits for the election; with two gone there is none.
        system.flows().await;
        if gone.len() == 1 {
            system.hears_the_bus().await;
        } else {
            system.fails().await;
            system.flows().await;
        }
    }
    for place in gone {
        cluster.servers[place].restart().await.unwrap();
    }
    system.hears_the_bus().await;
    system.forwarded().await;
    let remembered = published.remembered(0, i64::MAX).await.unwrap();
    let mut positions: Vec<i64> = remembered.iter().map(|event| event.position).collect();
    positions.sort_unstable();
    positions.dedup();
    let head = i64::try_from(positions.len()).unwrap();
    assert_eq!(
        positions,
        (1..=head).collect::<Vec<_>>(),
        "nothing confirmed is gone"
    );
    system.ends_well().await;
}

async fn messages_that_are_lost_doubled_and_swapped_are_handled_once_and_in_order(
    backend: Backend,
) {
    let seed = rand_seed();
    println!("seed {seed}");
    let server = Nats::start().await.unwrap();
    let proxy = NatsDisturber::start(server.address(), seed).await.unwrap();
    let mut system = system(backend, &server.url(), &proxy.url()).await;
    system.hears_the_bus().await;
    proxy.set(Disturbance::Chaos("banyan.events.".to_owned()));
    let mut head = 0;
    for _ in 0..30 {
        head = system.append(&["a", "b", "c", "a", "b"]).await;
    }
    system.at(head).await;
    // And one by one, each met by its own fate.
    for _ in 0..5 {
        system.flows().await;
    }
    assert!(proxy.disturbed() > 10, "{}", proxy.disturbed());
    proxy.set(Disturbance::Calm);
    system.hears_the_bus().await;
    system.ends_well().await;
}

fn rand_seed() -> u64 {
    let id = uuid::Uuid::new_v4();
    id.as_u64_pair().0
}

async fn a_connection_that_carries_no_message_any_more_is_told_by_silence(backend: Backend) {
    let server = Nats::start().await.unwrap();
    let proxy = NatsDisturber::start(server.address(), 0).await.unwrap();
    let mut system = system(backend, &server.url(), &proxy.url()).await;
    system.hears_the_bus().await;
    proxy.set(Disturbance::Lose("banyan.events.".to_owned()));
    for _ in 0..3 {
        system.flows().await;
    }
    system.forwarded().await;
    eventually(PATIENCE, || async { proxy.disturbed() >= 18 }).await;
    proxy.set(Disturbance::Calm);
    system.hears_the_bus().await;
    system.ends_well().await;
}

async fn an_answer_that_is_lost_stores_nothing_twice(backend: Backend) {
    let server = Nats::start().await.unwrap();
    let proxy = NatsDisturber::start(server.address(), 0).await.unwrap();
    let published = connect(&proxy.url(), NatsOptions::default()).await;
    let heard = connect(&server.url(), NatsOptions::default()).await;
    let mut system = System::start(backend, published, heard.clone()).await;
    system.hears_the_bus().await;
    for _ in 0..2 {
        proxy.set(Disturbance::Lose("_INBOX.".to_owned()));
        let head = system.append(&["a", "b"]).await;
        system.at(head).await;
        system.fails().await;
        // It is stored all the same.
        eventually(PATIENCE, || async {
            let newest = heard.newest().await.unwrap();
            newest.is_some_and(|newest| newest.position == head)
        })
        .await;
        system.flows().await;
        proxy.set(Disturbance::Calm);
        system.hears_the_bus().await;
    }
    system.forwarded().await;
    let stored = heard.remembered(0, i64::MAX).await.unwrap();
    let positions: Vec<i64> = stored.iter().map(|event| event.position).collect();
    let head = i64::try_from(positions.len()).unwrap();
    assert_eq!(positions, (1..=head).collect::<Vec<_>>(), "each id once");
    system.ends_well().await;
}

async fn a_stream_that_is_deleted_under_a_consumer_is_made_again(backend: Backend) {
    let server = Nats::start().await.unwrap();
    let url = server.url();
    let mut system = system(backend, &url, &url).await;
    system.hears_the_bus().await;
    let subject = format!("$JS.API.STREAM.DELETE.{STREAM}");
    let answer = server.ask(&subject, "").await.unwrap();
    assert_eq!(answer["success"], true, "{answer}");
    system.flows().await;
    system.hears_the_bus().await;
    let subject = format!("$JS.API.STREAM.INFO.{STREAM}");
    let made = server.ask(&subject, "").await.unwrap();
    assert!(made["state"]["messages"].as_u64() > Some(0), "{made}");
    system.ends_well().await;
}

async fn a_consumer_too_slow_for_the_bus_misses_nothing(backend: Backend) {
    let server = Nats::start().await.unwrap();
    let url = server.url();
    let narrow = NatsOptions {
        subscription_capacity: 64,
        ..NatsOptions::default()
    };
    let published = connect(&url, NatsOptions::default()).await;
    let heard = connect(&url, narrow).await;
    let mut system = System::start(backend, published, heard.clone()).await;
    system.hears_the_bus().await;
    // It stands still at one event, while far more come than it can hold.
    let journal = system.journal.clone();
    journal.mood(
        "stuck",
        Mood::Fails(event_store::consumer::Fault::Transient),
        u32::MAX,
    );
    system.append(&["stuck"]).await;
    for _ in 0..10 {
        system.append(&["a"; 100]).await;
    }
    system.forwarded().await;
    eventually(PATIENCE, || async { heard.status().overruns > 0 }).await;
    journal.cheer_up();
    let head = system.append(&["b"]).await;
    system.at(head).await;
    system.hears_the_bus().await;
    system.ends_well().await;
}
