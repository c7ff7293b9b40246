use testkit::{Backend, Rabbit};

use super::system::System;

/// The same seam, another broker. Named by its address alone, as a setting does.
#[tokio::test]
async fn a_consumer_survives_rabbitmq_killed_and_wiped_and_hears_it_again() {
    let mut server = Rabbit::start().await.unwrap();
    let published = bus::connect(&server.url(), 1).await.unwrap();
    let heard = bus::connect(&server.url(), 1).await.unwrap();
    let backend = Backend::sqlite();
    let mut system = System::start(backend, published.clone(), heard).await;
    system.hears_the_bus().await;
    server.kill().await.unwrap();
    system.flows().await;
    server.restart_empty().await.unwrap();
    system.hears_the_bus().await;
    system.forwarded().await;
    let newest = published.newest().await.unwrap();
    assert!(newest.is_some(), "the stream was made again");
    system.ends_well().await;
}
