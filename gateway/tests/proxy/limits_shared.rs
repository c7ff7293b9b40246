//! Two gateways that count together through a real NATS, and go on without it.

use std::time::Duration;

use async_nats::jetstream::{self, kv, stream::StorageType};
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
    // A busy machine seldom answers within the little time that a request has for the counts.
    tokio::time::timeout(3 * PATIENCE, counts)
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

#[tokio::test]
async fn a_bucket_that_is_full_for_new_keys_still_counts_those_that_it_holds() {
    let legacy = Scripted::saying("hello").await;
    let nats = Nats::start().await.expect("a nats-server");
    let client = async_nats::connect(nats.url()).await.expect("it answers");
    let bucket = kv::Config {
        bucket: "banyan_limits".to_owned(),
        history: 1,
        // Room for one key, or two.
        max_bytes: 300,
        storage: StorageType::Memory,
        ..kv::Config::default()
    };
    let jetstream = jetstream::new(client);
    let made = jetstream.create_key_value(bucket).await;
    let made = made.expect("a bucket");
    let stage = stage(&legacy, &nats, "6/h").await;
    connected(&stage).await;
    // As much as there is room for.
    let mut fills = 0;
    while made
        .put(format!("filler-{fills}"), "12345678".into())
        .await
        .is_ok()
    {
        fills += 1;
    }
    let known = async {
        loop {
            let alone = stage.stats("all").counted_alone;
            stage.get("/", "").await;
            assert!(stage.stats("all").counted_alone > alone, "there is no room");
            let alone = stage.stats("warm").counted_alone;
            stage.get("/warm", "").await;
            if stage.stats("warm").counted_alone == alone {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, known)
        .await
        .expect("what the bucket holds is counted together right after");
}

#[tokio::test]
async fn a_bucket_remembers_for_as_long_as_the_slowest_limit_needs_and_not_for_a_day() {
    let legacy = Scripted::saying("hello").await;
    let nats = Nats::start().await.expect("a nats-server");
    let client = async_nats::connect(nats.url()).await.expect("it answers");
    let jetstream = jetstream::new(client);
    let kept = async || {
        let store = jetstream.get_key_value("banyan_limits").await;
        let store = store.expect("a bucket");
        store.stream.cached_info().config.max_age
    };
    let becomes = async |expected: u64| {
        let expected = Duration::from_secs(expected);
        let same = async {
            while kept().await != expected {
                tokio::task::yield_now().await;
            }
        };
        let same = tokio::time::timeout(PATIENCE, same).await;
        assert!(same.is_ok(), "{:?}", kept().await);
    };
    let quick = stage(&legacy, &nats, "6/s").await;
    connected(&quick).await;
    becomes(60).await;
    // A burst of six comes back within an hour.
    let slow = stage(&legacy, &nats, "6/h").await;
    connected(&slow).await;
    becomes(7200).await;
    // Who needs less takes nothing away.
    let other = stage(&legacy, &nats, "6/s").await;
    connected(&other).await;
    assert_eq!(kept().await, Duration::from_secs(7200));
}
