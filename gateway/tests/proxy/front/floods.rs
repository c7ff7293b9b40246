//! Clients of HTTP/2 that use what is legal as a weapon: each ends, and the next client is served.

use super::raw::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Fate, HEADERS, PING, PRIORITY, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, block, frame, get,
};
use crate::scripted::{Act, Scripted};
use crate::stage::{PATIENCE, Stage, upstream};

/// More than any of the limits.
const MANY: usize = 20_000;

async fn is_ended(name: &str, begin: &[u8], next: impl FnMut(u32) -> Vec<u8>) {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let mut raw = Raw::open(stage.address, &[]).await;
    raw.send(begin).await;
    let sent = raw.flood(MANY, next).await;
    assert!(sent < MANY, "{name}: all {sent} were taken");
    assert_eq!(stage.get("/", "").await.status(), 200, "after {name}");
}

fn odd(round: u32) -> u32 {
    2 * round + 1
}

#[tokio::test]
async fn pings_and_settings_and_priorities() {
    is_ended("pings", &[], |_| frame(PING, 0, 0, &[0; 8])).await;
    is_ended("settings", &[], |_| {
        frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])
    })
    .await;
    is_ended("priorities", &[], |round| {
        frame(PRIORITY, 0, odd(round), &[0, 0, 0, 0, 9])
    })
    .await;
    is_ended("unknown frames", &[], |_| frame(0x42, 0, 0, &[0; 8])).await;
}

#[tokio::test]
async fn updates_of_the_window() {
    is_ended("updates", &[], |_| {
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(10)
    })
    .await;
}

#[tokio::test]
async fn empty_data() {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "shop.example"),
        (":path", "/"),
    ];
    let post = frame(HEADERS, END_HEADERS, 1, &block(&fields));
    is_ended("empty data", &post, |_| frame(DATA, 0, 1, &[])).await;
}

#[tokio::test]
async fn streams_that_are_reset_as_soon_as_they_are_opened() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let mut raw = Raw::open(stage.address, &[]).await;
    let sent = raw
        .flood(MANY, |round| {
            let reset = frame(RST_STREAM, 0, odd(round), &[0, 0, 0, 8]);
            [get(odd(round), &[]), reset].concat()
        })
        .await;
    assert!(sent < MANY, "all {sent} were taken");
    assert!(legacy.count() <= 1_000, "{} arrived", legacy.count());
    assert_eq!(stage.get("/", "").await.status(), 200);
}

#[tokio::test]
async fn a_head_that_never_ends() {
    let begin = frame(HEADERS, END_STREAM, 1, &block(&[(":method", "GET")]));
    is_ended("continuations", &begin, |_| {
        frame(CONTINUATION, 0, 1, &block(&[("x", "y")]))
    })
    .await;
    is_ended("empty continuations", &begin, |_| {
        frame(CONTINUATION, 0, 1, &[])
    })
    .await;
}

#[tokio::test]
async fn malformed_streams_one_after_the_other() {
    is_ended("malformed", &[], |round| {
        get(odd(round), &[("connection", "close")])
    })
    .await;
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_the_others_answered() {
    let legacy = Scripted::always(Act::Hang).await;
    let stage = Stage::simple(legacy.address).await;
    let mut raw = Raw::open(stage.address, &[]).await;
    // The limit holds once it was acknowledged; until then the library may take a few more.
    raw.send(&frame(SETTINGS, 1, 0, &[])).await;
    for round in 0..150 {
        raw.send(&get(odd(round), &[])).await;
    }
    let mut refused = 0;
    while refused < 50 {
        let frame = raw.next().await.expect("the connection goes on");
        if frame.kind == RST_STREAM {
            assert_eq!(frame.payload, [0, 0, 0, 7], "REFUSED_STREAM");
            refused += 1;
        }
    }
    assert!(legacy.count() <= 100, "{} arrived", legacy.count());
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let mut raw = Raw::open(stage.address, &[]).await;
    let long = "x".repeat(15_000);
    let fields: Vec<(&str, &str)> = (0..5).map(|_| ("x", long.as_str())).collect();
    let start = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "shop.example"),
        (":path", "/"),
    ];
    raw.send(&frame(HEADERS, END_STREAM, 1, &block(&start)))
        .await;
    for (at, field) in fields.iter().enumerate() {
        let flags = if at == 4 { END_HEADERS } else { 0 };
        raw.send(&frame(CONTINUATION, flags, 1, &block(&[*field])))
            .await;
    }
    let fate = raw.fate(1).await;
    assert!(matches!(fate, Fate::Answered(None)), "431 and not {fate:?}");
    raw.send(&get(3, &[])).await;
    assert_eq!(raw.fate(3).await, Fate::Answered(Some(200)));
    assert_eq!(legacy.count(), 1);
}

#[tokio::test]
async fn a_client_that_grants_no_window_loses_its_stream_and_not_the_others() {
    let flood = Act::Flood(64 * 1024 * 1024);
    let legacy = Scripted::script([flood], Act::Say(crate::scripted::ok(""))).await;
    let stage = Stage::open(&format!(
        "[limits]\nmin_rate_grace = \"1s\"\n{}\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    let mut raw = Raw::open(stage.address, &[0, 4, 0, 0, 0, 0]).await;
    raw.send(&get(1, &[])).await;
    assert_eq!(raw.fate(1).await, Fate::Answered(Some(200)));
    let fate = tokio::time::timeout(PATIENCE, raw.fate(1)).await;
    assert!(matches!(fate, Ok(Fate::Reset(_))), "{fate:?}");
    raw.send(&get(3, &[])).await;
    assert_eq!(raw.fate(3).await, Fate::Answered(Some(200)));
    stage.shows(
        "banyan_gateway_client_connections_ended_total{reason=\"slow\"}",
        "1",
    );
    assert_eq!(stage.data.upstreams().snapshot()[0].in_flight, 0);
}
