//! What crosses the gateway, and what it says itself.

use crate::scripted::{Act, Scripted};
use crate::stage::{Stage, upstream};

#[tokio::test]
async fn what_belongs_to_a_connection_or_to_the_gateway_does_not_pass() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    stage
        .get(
            "/",
            "connection: keep-alive, x-private\r\nx-private: 1\r\nkeep-alive: timeout=5\r\n\
             proxy-connection: keep-alive\r\nX-Auth-Subject: root\r\nx_auth_roles: admin\r\n\
             X-Banyan-Subject: user-7\r\nX_BANYAN_SHADOW: 1\r\nx-http-method-override: DELETE\r\n\
             x-own: kept\r\n",
        )
        .await;
    let seen = &legacy.seen()[0];
    let head = seen.head.to_lowercase();
    for absent in [
        "x-private",
        "keep-alive",
        "proxy-connection",
        "x-auth",
        "x_auth",
        "x-banyan",
        "x_banyan",
        "method-override",
    ] {
        assert!(!head.contains(absent), "{absent} in {head}");
    }
    assert_eq!(seen.header("x-own"), Some("kept"));
}

#[tokio::test]
async fn the_upstream_learns_who_called() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    stage
        .get(
            "/",
            "x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\n",
        )
        .await;
    let seen = &legacy.seen()[0];
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("shop.example"));
    assert_eq!(seen.header("via"), Some("1.1 banyan"));
    assert_eq!(seen.header("forwarded"), None);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "trusted_proxies = [\"127.0.0.0/8\"]\n{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let forwarded = "x-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: https\r\n";
    stage.get("/", forwarded).await;
    let seen = &legacy.seen()[0];
    assert_eq!(seen.header("x-forwarded-for"), Some("6.6.6.6, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn a_trace_is_continued_to_the_upstream_and_told_to_the_client() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{id}-00f067aa0ba902b7-01");
    let reply = stage.get("/", &format!("traceparent: {parent}\r\n")).await;
    assert_eq!(reply.header("x-trace-id"), Some(id));
    let seen = &legacy.seen()[0];
    let passed = seen.header("traceparent").unwrap();
    assert!(passed.contains(id) && passed != parent, "{passed}");
    assert_eq!(seen.header("x-trace-id"), Some(id));
    let fresh = stage.get("/", "traceparent: nonsense\r\n").await;
    let fresh = fresh.header("x-trace-id").unwrap();
    assert_eq!(fresh.len(), 32);
    assert_eq!(legacy.seen()[1].header("x-trace-id"), Some(fresh));
}

#[tokio::test]
async fn the_client_learns_the_route_and_upstream_unless_that_is_switched_off() {
    let spoof = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-banyan-upstream: fake\r\n\
                 x-banyan-fallback: 1\r\nconnection: x-inner\r\nx-inner: 1\r\n\r\n";
    let legacy = Scripted::always(Act::Say(spoof.to_owned())).await;
    let stage = Stage::simple(legacy.address).await;
    let reply = stage.get("/", "").await;
    assert_eq!(reply.header("x-banyan-route"), Some("all"));
    assert_eq!(reply.header("x-banyan-upstream"), Some("legacy"));
    assert_eq!(reply.header("x-banyan-fallback"), None);
    assert_eq!(reply.header("x-inner"), None);
    assert_eq!(reply.header("via"), Some("1.1 banyan"));
    let quiet = Stage::open(&format!(
        "route_headers = false\n{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let reply = quiet.get("/", "").await;
    assert_eq!(reply.header("x-banyan-route"), None);
    assert_eq!(reply.header("x-banyan-upstream"), None);
}

#[tokio::test]
async fn a_request_without_exactly_one_host_is_refused() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n",
    ] {
        let reply = stage.ask(request).await;
        assert_eq!(
            (reply.status(), reply.code().as_str()),
            (400, "bad_host"),
            "{request}"
        );
        assert!(reply.body.contains(reply.header("x-trace-id").unwrap()));
    }
    let connect = stage
        .ask("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n")
        .await;
    assert_eq!(connect.status(), 405);
    assert_eq!(legacy.count(), 0);
}

#[tokio::test]
async fn an_absolute_target_names_the_host() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::simple(legacy.address).await;
    stage
        .ask("GET http://other.example/a HTTP/1.1\r\nhost: shop.example\r\n\r\n")
        .await;
    let seen = &legacy.seen()[0];
    assert_eq!(seen.line(), "GET /a HTTP/1.1");
    assert_eq!(seen.header("host"), Some("other.example"));
}

#[tokio::test]
async fn names_keep_their_letters_in_both_directions_where_the_upstream_wants_it() {
    let answer = "HTTP/1.1 200 OK\r\nX-OLD-Name: a\r\nContent-LENGTH: 2\r\n\r\nok";
    let old = Scripted::always(Act::Say(answer.to_owned())).await;
    let new = Scripted::always(Act::Say(answer.to_owned())).await;
    let stage = Stage::open(&format!(
        "{}{}\n[[routes]]\nid = \"old\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         [[routes]]\nid = \"new\"\nprefix = \"/new\"\nlegacy = \"quiz\"\n",
        upstream("legacy", old.address, "header_case = \"keep\""),
        upstream("quiz", new.address, "")
    ))
    .await;
    let written = "X-Old-CLIENT: b\r\nConnection: X-Gone\r\nX-Gone: c\r\nX-Auth-Subject: d\r\n";
    for round in 0..2 {
        let reply = stage.get("/", written).await;
        assert!(
            reply.head.contains("\r\nX-OLD-Name: a\r\n"),
            "{}",
            reply.head
        );
        assert!(
            reply.head.contains("\r\nContent-LENGTH: 2\r\n"),
            "{}",
            reply.head
        );
        let seen = old.seen().swap_remove(round).head;
        assert!(seen.contains("\r\nX-Old-CLIENT: b\r\n"), "{seen}");
        assert!(seen.contains("\r\nx-forwarded-for: "), "{seen}");
        let seen = seen.to_lowercase();
        assert!(
            !seen.contains("x-gone") && !seen.contains("x-auth"),
            "{seen}"
        );
    }
    stage.get("/new", written).await;
    let seen = new.seen().swap_remove(0).head;
    assert!(seen.contains("\r\nx-old-client: b\r\n"), "{seen}");
}
