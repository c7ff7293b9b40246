//! Who waits for a place when as many requests are under way as may be.

use crate::scripted::{Act, Scripted, ok};
use crate::stage::{PATIENCE, Stage, upstream};

async fn stage(legacy: &Scripted, queue: &str) -> Stage {
    let settings = format!("max_in_flight = 1\ntimeout = \"10m\"\n{queue}");
    Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, &settings)
    ))
    .await
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn who_comes_second_waits_and_who_comes_third_is_told_to_come_back() {
    let slow = Act::SayInTwo(String::new(), ok("first"));
    let legacy = Scripted::script([slow], Act::Say(ok("second"))).await;
    let stage = stage(&legacy, "queue = { size = 1, wait = \"10m\" }").await;
    let (mut first, mut second) = (stage.connect().await, stage.connect().await);
    first.send(GET).await;
    legacy.saw(1).await;
    second.send(GET).await;
    let waits = async {
        while stage.data.upstreams().snapshot()[0].waiting == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waits)
        .await
        .expect("it waits");
    stage.shows(
        "banyan_gateway_upstream_waiting{upstream=\"legacy\"}",
        "1.0",
    );
    let third = stage.get("/", "").await;
    assert_eq!(
        (third.status(), third.code().as_str()),
        (503, "upstream_overloaded")
    );
    assert_eq!(third.header("retry-after"), Some("1"));
    assert_eq!(legacy.count(), 1);
    legacy.release();
    assert_eq!(first.reply(false).await.body, "first");
    assert_eq!(second.reply(false).await.body, "second");
    let snapshot = &stage.data.upstreams().snapshot()[0];
    assert_eq!((snapshot.waiting, snapshot.refused.full), (0, 1));
}

#[tokio::test]
async fn nobody_waits_longer_than_is_said() {
    let legacy = Scripted::always(Act::Hang).await;
    let stage = stage(&legacy, "queue = { size = 9, wait = \"50ms\" }").await;
    let mut first = stage.connect().await;
    first.send(GET).await;
    legacy.saw(1).await;
    let second = stage.get("/", "").await;
    assert_eq!(
        (second.status(), second.code().as_str()),
        (503, "upstream_overloaded")
    );
    assert_eq!(legacy.count(), 1);
}

#[tokio::test]
async fn a_client_that_does_not_wait_leaves_the_queue() {
    let legacy = Scripted::always(Act::Hang).await;
    let stage = stage(&legacy, "queue = { size = 9, wait = \"10m\" }").await;
    let (mut first, mut second) = (stage.connect().await, stage.connect().await);
    first.send(GET).await;
    legacy.saw(1).await;
    second.send(GET).await;
    let waiting = |count: usize| {
        let upstreams = stage.data.upstreams();
        async move {
            while upstreams.snapshot()[0].waiting != count {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting(1))
        .await
        .expect("it waits");
    drop(second);
    tokio::time::timeout(PATIENCE, waiting(0))
        .await
        .expect("it is gone");
    assert_eq!(legacy.count(), 1);
}
