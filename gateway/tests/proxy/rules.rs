//! A route's header rules, on both ways.

use crate::scripted::{Act, Scripted};
use crate::stage::{Stage, upstream};

#[tokio::test]
async fn headers_are_changed_on_both_ways_before_the_gateway_adds_its_own() {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nserver: apache/1.3\r\ncache-control: public\r\n\
                x-tag: one\r\n\r\nhi";
    let legacy = Scripted::always(Act::Say(text.to_owned())).await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         [routes.request_headers]\nset = {{ x-api-key = \"k\", user-agent = \"banyan\" }}\n\
         add = {{ x-tag = \"two\" }}\nremove = [\"cookie\", \"x-debug\"]\n\
         [routes.response_headers]\nset = {{ cache-control = \"no-store\", x-frame-options = \"DENY\" }}\n\
         add = {{ x-tag = \"two\" }}\nremove = [\"server\"]\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let sent =
        "cookie: a=1\r\nx-debug: 1\r\nx-api-key: forged\r\nx-api-key: twice\r\nx-tag: one\r\n";
    let reply = stage.get("/", sent).await;
    let seen = &legacy.seen()[0];
    assert_eq!(seen.header("x-api-key"), Some("k"));
    assert_eq!(seen.head.matches("x-api-key").count(), 1, "{}", seen.head);
    assert_eq!(seen.header("user-agent"), Some("banyan"));
    assert_eq!(
        (seen.header("cookie"), seen.header("x-debug")),
        (None, None)
    );
    assert!(
        seen.head.contains("x-tag: one\r\nx-tag: two\r\n"),
        "{}",
        seen.head
    );
    assert_eq!(reply.header("server"), None);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(
        reply.head.contains("x-tag: one\r\nx-tag: two\r\n"),
        "{}",
        reply.head
    );
    assert_eq!(reply.header("x-banyan-upstream"), Some("legacy"));
}

#[tokio::test]
async fn no_rule_lets_a_cache_keep_what_the_gateway_itself_answers() {
    let gone = Scripted::absent().await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         [routes.response_headers]\nset = {{ cache-control = \"public, max-age=600\" }}\n",
        upstream("legacy", gone, "")
    ))
    .await;
    let call = "content-type: application/grpc\r\n";
    for (reply, status) in [
        (stage.get("/", "").await, 502),
        (stage.post("/", call, "x").await, 200),
    ] {
        assert_eq!(reply.status(), status, "{}", reply.head);
        let kept = reply.head.matches("cache-control: ").count();
        assert_eq!((reply.header("cache-control"), kept), (Some("no-store"), 1));
    }
}

#[tokio::test]
async fn the_gateways_own_answers_on_the_route_carry_its_headers_too() {
    let gone = Scripted::absent().await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         [routes.response_headers]\nset = {{ strict-transport-security = \"max-age=60\" }}\n",
        upstream("legacy", gone, "")
    ))
    .await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert_eq!(
        reply.header("strict-transport-security"),
        Some("max-age=60")
    );
}
