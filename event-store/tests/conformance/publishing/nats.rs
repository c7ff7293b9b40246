use std::sync::Arc;

use bus::{Bus, NatsBus, NatsOptions};
use chassis::Shutdown;
use event_store::{ReadQuery, publisher};
use testkit::{Backend, Nats, eventually};

use crate::{
    consumers::handler::{Journal, handled, journal_database, start},
    fixture::{PATIENCE, append_to, log_apart, soon},
};

#[tokio::test]
async fn a_consumer_survives_nats_down_restarted_empty_and_delivering_twice() {
    let versions = Nats::versions();
    assert!(
        !versions.is_empty(),
        "no nats-server found: run `cargo xtask test`"
    );
    for version in versions {
        let mut server = Nats::start_version(version).await.unwrap();
        let backend = Backend::sqlite();
        let (log, _place) = log_apart(&backend).await;
        let database = journal_database(&backend).await;
        let bus: Arc<dyn Bus> = Arc::new(
            NatsBus::connect(&server.url(), NatsOptions::default())
                .await
                .unwrap(),
        );
        let stop = Shutdown::new();
        let publisher = tokio::spawn(publisher::run(log.clone(), bus.clone(), stop.clone()));
        let running = start(&database, &log, &Journal::new(), Some(bus.clone()));

        let head = append_to(&log, &["a", "b"]).await;
        running.at(head).await;
        // Down: events still flow, by polling.
        server.kill().await.unwrap();
        let head = append_to(&log, &["a", "b", "a"]).await;
        running.at(head).await;
        // Back, with an empty disk.
        server.restart_empty().await.unwrap();
        let head = append_to(&log, &["c"]).await;
        running.at(head).await;
        // Everything once more.
        let all = log.read(&ReadQuery::after(0)).await.unwrap();
        eventually(PATIENCE, || bus.publish(&all)).await;
        let head = append_to(&log, &["c", "a"]).await;
        running.at(head).await;
        assert_eq!(handled(&database).await, (1..=head).collect::<Vec<_>>());

        running.stop().await;
        stop.trigger();
        soon(publisher).await.unwrap();
    }
}
