//! Two gateways that count together through a real NATS, and go on without it.

use std::time::Duration;

use testkit::Nats;

use crate::scripted::Scripted;
use crate::stage::{PATIENCE, Stage, upstream};

const BURST: usize = 6;

async fn stage(legacy: &Scripted, nats: &Nats, rate: &str) -> Stage {
    Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         rate_limit = {{ per = \"ip\", rate = \"{rate}\", burst = {BURST}, shared = \"{}\" }}\n\
         [[routes]]\nid = \"warm\"\nprefix = \"/warm\"\nlegacy = \"legacy\"\n\
         rate_limit = {{ per = \"ip\", rate = \"10000/s\", shared = \"{}\" }}\n",
        upstream("legacy", legacy.address, ""),
        nats.url(),
        nats.url(),
    ))
    .await
}

/// Waits until the gateway counts together with others, by a route that lets everything through.
async fn connected(stage: &Stage) {
    let counts = async {
        loop {
            let before = stage.stats("warm").counted_alone;
            assert_eq!(stage.get("/warm", "").await.status(), 200);
            if stage.stats("warm").counted_alone == before {
                return;
            }
            // Between two looks at a condition, within a bound.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, counts)
        .await
        .expect("the gateway reaches NATS");
}

async fn allowed(stages: &[&Stage], requests: usize) -> usize {
    let mut allowed = 0;
    for number in 0..requests {
        let reply = stages[number % stages.len()].get("/", "").await;
        assert!([200, 429].contains(&reply.status()));
        allowed += usize::from(reply.status() == 200);
    }
    allowed
}

#[tokio::test]
async fn gateways_count_together_and_each_alone_while_the_counts_are_away() {
    let legacy = Scripted::saying("hello").await;
    let mut nats = Nats::start().await.expect("a nats-server");
    let one = stage(&legacy, &nats, "6/h").await;
    let other = stage(&legacy, &nats, "6/h").await;
    connected(&one).await;
    connected(&other).await;
    let together = allowed(&[&one, &other], 4 * BURST).await;
    let alone = one.stats("all").counted_alone + other.stats("all").counted_alone;
    // A machine that is busy makes NATS slow at times; each of those was counted apart.
    let most = BURST + usize::try_from(alone).expect("a small number");
    assert!((BURST..=most).contains(&together), "{together} of {most}");
    nats.stop().await.expect("it ends");
    let before = one.stats("all").counted_alone;
    let after = allowed(&[&one], 2 * BURST).await;
    assert!(after <= BURST, "alone it limits too: {after}");
    assert_eq!(one.stats("all").counted_alone, before + 2 * BURST as u64);
    let series = "banyan_gateway_limits_counted_alone_total{route=\"all\"}";
    one.shows(series, &(before + 2 * BURST as u64).to_string());
    nats.restart().await.expect("it starts again");
    connected(&one).await;
}
