//! 103 Early Hints: what a client hears before its answer, and that nothing comes in a wrong place.

use crate::scripted::{Act, Scripted, ok};
use crate::stage::{Stage, upstream};

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\nconnection: x-gone\r\n\
                    x-gone: a\r\nx-banyan-route: b\r\n\r\n";
const TOLD: &str = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn stage(legacy: &Scripted, more: &str) -> Stage {
    Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        upstream("legacy", legacy.address, more)
    ))
    .await
}

#[tokio::test]
async fn a_hint_is_told_while_the_answer_is_still_in_the_making() {
    let legacy = Scripted::always(Act::SayInTwo(HINT.to_owned(), ok("page"))).await;
    let stage = stage(&legacy, "early_hints = true").await;
    let mut client = stage.connect().await;
    client.send(GET.as_bytes()).await;
    assert_eq!(client.head().await, TOLD);
    legacy.release();
    let reply = client.reply(false).await;
    assert_eq!((reply.status(), reply.body.as_str()), (200, "page"));
}

#[tokio::test]
async fn hints_that_come_with_their_answer_come_before_it_also_when_requests_are_pipelined() {
    let legacy = Scripted::always(Act::Say(format!("{HINT}{HINT}{}", ok("page")))).await;
    let stage = stage(&legacy, "early_hints = true").await;
    let mut client = stage.connect().await;
    client.send(GET.repeat(20).as_bytes()).await;
    for round in 0..20 {
        for _ in 0..2 {
            assert_eq!(client.head().await, TOLD, "{round}");
        }
        let reply = client.reply(false).await;
        assert_eq!(
            (reply.status(), reply.body.as_str()),
            (200, "page"),
            "{round}"
        );
    }
}

#[tokio::test]
async fn nobody_gets_a_hint_who_may_not_know_it_or_where_it_is_not_wanted() {
    let answer = format!("HTTP/1.1 100 Continue\r\n\r\n{HINT}{}", ok("page"));
    let legacy = Scripted::always(Act::Say(answer)).await;
    let told = stage(&legacy, "early_hints = true").await;
    let mut client = told.connect().await;
    client.send(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.reply(false).await.status(), 200);
    // A 100 that nobody asked for is no hint.
    let mut client = told.connect().await;
    client.send(GET.as_bytes()).await;
    assert_eq!(client.head().await, TOLD);
    assert_eq!(client.reply(false).await.status(), 200);
    let quiet = stage(&legacy, "").await;
    assert_eq!(quiet.get("/", "").await.status(), 200);
}

#[tokio::test]
async fn the_answer_comes_behind_its_hints_however_many_there_are() {
    let long = format!(
        "HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n",
        "x".repeat(6_000)
    );
    let legacy = Scripted::always(Act::Say(format!("{}{}", long.repeat(5), ok("page")))).await;
    let stage = stage(&legacy, "early_hints = true").await;
    let mut client = stage.connect().await;
    client.send(GET.as_bytes()).await;
    let mut hints = 0;
    loop {
        let head = client.head().await;
        if head.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(head.starts_with("HTTP/1.1 103"), "{head}");
        hints += 1;
    }
    assert_eq!(client.exactly(4).await, b"page");
    assert!((1..=5).contains(&hints), "{hints}");
}
