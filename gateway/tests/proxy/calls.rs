//! gRPC: what the gateway itself says to a call, and when a call's time is over.

use crate::scripted::{Act, Scripted};
use crate::stage::{Stage, upstream};

const CALL: &str = "content-type: application/grpc+proto\r\nte: trailers\r\n";

async fn stage(settings: &str, route: &str, legacy: std::net::SocketAddr) -> Stage {
    Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/shop.Orders\"\nlegacy = \"legacy\"\n{route}\n",
        upstream("legacy", legacy, settings)
    ))
    .await
}

#[tokio::test]
async fn a_call_is_told_in_its_own_words_why_there_is_no_answer() {
    let absent = Scripted::absent().await;
    let gone = stage("", "", absent).await;
    let reply = gone.post("/shop.Orders/Put", CALL, "x").await;
    assert_eq!(
        (reply.status(), reply.header("grpc-status")),
        (200, Some("14"))
    );
    assert_eq!(reply.header("content-type"), Some("application/grpc"));
    let message = reply.header("grpc-message").expect("a message");
    assert!(message.starts_with("upstream_unreachable: "), "{message}");
    assert_eq!(reply.body, "");
    let reply = gone.post("/nobody", CALL, "x").await;
    assert_eq!(reply.header("grpc-status"), Some("12"));
    let reply = gone.post("/shop.Orders/Put", "", "x").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_unreachable")
    );
    let closed = stage(
        "",
        "auth = { required = true }\n[auth]\n[[auth.issuers]]\nissuer = \"i\"\n\
         secret = \"0123456789abcdef\"",
        absent,
    )
    .await;
    let reply = closed.post("/shop.Orders/Put", CALL, "x").await;
    assert_eq!(reply.header("grpc-status"), Some("16"));
}

#[tokio::test]
async fn a_call_waits_no_longer_than_it_says_and_blames_nobody() {
    let legacy = Scripted::always(Act::Hang).await;
    let breaker =
        "timeout = \"10m\"\nbreaker = { failures = 1, window = \"10s\", open_for = \"60s\" }";
    let stage = stage(breaker, "", legacy.address).await;
    for count in 1..=2 {
        let headers = format!("{CALL}grpc-timeout: 50m\r\n");
        let reply = stage.post("/shop.Orders/Put", &headers, "x").await;
        assert_eq!(reply.header("grpc-status"), Some("4"));
        assert_eq!(legacy.count(), count, "its circuit stays closed");
    }
    assert_eq!(stage.stats("all").legacy.failures, 0);
}
