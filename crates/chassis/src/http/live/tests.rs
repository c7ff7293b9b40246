//! Streams, on a paused clock.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use super::*;

struct Setup {
    live: Live<u8, i64>,
    value: Arc<AtomicI64>,
    changed: watch::Sender<u64>,
    end: Shutdown,
}

/// Key 1 shows a number that the test sets, key 2 cannot be read; two streams at most.
fn setup() -> Setup {
    let end = Shutdown::new();
    let live = Live::new(vec![1, 2], 2, end.clone());
    let value = Arc::new(AtomicI64::new(7));
    let changed = watch::Sender::new(0);
    let (running, shown, rising) = (live.clone(), Arc::clone(&value), changed.subscribe());
    tokio::spawn(async move {
        running
            .run(rising, |key| {
                let value = shown.load(SeqCst);
                async move {
                    if key == 1 {
                        return Ok(value);
                    }
                    Err(Problem::unavailable("busy", "It is down."))
                }
            })
            .await;
    });
    Setup {
        live,
        value,
        changed,
        end,
    }
}

impl Setup {
    async fn watch(&self, last: Option<&str>) -> Watching<i64> {
        let last = LastEventId(last.map(ToOwned::to_owned));
        self.live.watch(1, last).await.expect("a stream")
    }

    fn set(&self, value: i64) {
        self.value.store(value, SeqCst);
        self.changed.send_modify(|count| *count += 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_sees_the_value_at_once_and_each_change_once() {
    let setup = setup();
    let mut client = setup.watch(None).await;
    assert_eq!(client.next().await.unwrap().value, 7);
    setup.set(8);
    assert_eq!(client.next().await.unwrap().value, 8);
    setup.set(8);
    let more = timeout(READ_EVERY * 5, client.next()).await;
    assert!(more.is_err(), "nothing changed");
}

#[tokio::test(start_paused = true)]
async fn changes_in_quick_succession_are_one_event() {
    let setup = setup();
    let mut client = setup.watch(None).await;
    client.next().await.unwrap();
    let begun = Instant::now();
    for value in 10..20 {
        setup.set(value);
    }
    assert_eq!(client.next().await.unwrap().value, 19);
    setup.set(20);
    assert_eq!(client.next().await.unwrap().value, 20);
    assert!(begun.elapsed() >= READ_PAUSE);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_another_process_is_seen_without_a_signal() {
    let setup = setup();
    let mut client = setup.watch(None).await;
    client.next().await.unwrap();
    setup.value.store(9, SeqCst);
    let next = timeout(READ_EVERY * 2, client.next()).await;
    assert_eq!(next.expect("in time").unwrap().value, 9);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_gets_only_what_it_missed() {
    let setup = setup();
    let id = setup.watch(None).await.next().await.unwrap().id.clone();
    let mut back = setup.watch(Some(&id)).await;
    assert!(timeout(READ_EVERY * 3, back.next()).await.is_err());
    setup.set(8);
    assert_eq!(back.next().await.unwrap().value, 8);
    let mut late = setup.watch(Some(&id)).await;
    assert_eq!(late.next().await.unwrap().value, 8);
}

#[tokio::test(start_paused = true)]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let setup = setup();
    let (first, _second) = (setup.watch(None).await, setup.watch(None).await);
    let refused = setup.live.watch(1, LastEventId(None)).await.err();
    assert_eq!(refused.expect("a refusal").code(), "too_many_streams");
    drop(first);
    setup.watch(None).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_read_is_told_at_once() {
    let setup = setup();
    let refused = setup.live.watch(2, LastEventId(None)).await.err();
    assert_eq!(refused.expect("a refusal").code(), "busy");
}

#[tokio::test(start_paused = true)]
async fn streams_end_at_the_shutdown_and_after_their_time() {
    let setup = setup();
    let mut client = setup.watch(None).await;
    client.next().await.unwrap();
    // The clock is paused: it jumps to the end of the stream's time.
    assert!(client.next().await.is_none());
    let mut other = setup.watch(None).await;
    other.next().await.unwrap();
    setup.end.trigger();
    assert!(other.next().await.is_none());
}
