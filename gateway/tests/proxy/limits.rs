//! Rate limits: who is counted with whom, what they are told, and that a reload forgets nothing.

use crate::scripted::Scripted;
use crate::stage::{Reply, Stage, upstream};

/// A route whose limit lets a burst of two through and then nothing for the time of a test.
fn limited(legacy: &Scripted, per: &str, more: &str) -> String {
    format!(
        "{}\n{}\n[flags.move]\nsubject = [\"header:x-user-id\", \"cookie:banyan_subject\"]\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\ncandidate = \"quiz\"\n\
         flag = \"move\"\nrate_limit = {{ per = \"{per}\", rate = \"2/h\", burst = 2 }}\n{more}",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", legacy.address, ""),
    )
}

fn user(name: &str) -> String {
    format!("x-user-id: {name}\r\n")
}

fn told(reply: &Reply) -> (u16, &str) {
    (
        reply.status(),
        reply.header("ratelimit").unwrap_or_default(),
    )
}

#[tokio::test]
async fn who_sends_too_much_is_refused_and_told_when_to_come_back() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&limited(&legacy, "subject", "")).await;
    let first = stage.get("/", &user("ann")).await;
    assert_eq!(told(&first), (200, "\"all\";r=1;t=1800"));
    let policy = first.header("ratelimit-policy");
    assert_eq!(policy, Some("\"all\";q=2;w=3600"));
    assert_eq!(first.header("retry-after"), None);
    assert_eq!(stage.get("/", &user("ann")).await.status(), 200);
    let refused = stage.get("/", &user("ann")).await;
    assert_eq!(
        (refused.status(), refused.code().as_str()),
        (429, "rate_limited")
    );
    let retry: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1800).contains(&retry), "{retry}");
    assert_eq!(
        refused.header("ratelimit"),
        Some(format!("\"all\";r=0;t={retry}").as_str())
    );
    assert_eq!(refused.header("set-cookie"), None);
    assert_eq!(stage.get("/", &user("bob")).await.status(), 200);
    assert_eq!(legacy.count(), 3);
    assert_eq!(stage.stats("all").limited, 1);
    stage.shows(
        "banyan_gateway_refusals_total{route=\"all\",reason=\"rate_limited\"}",
        "1",
    );
}

#[tokio::test]
async fn who_brings_no_name_is_counted_by_its_address_and_not_by_the_name_it_is_given() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&limited(&legacy, "subject", "")).await;
    let statuses = [
        stage.get("/", "").await.status(),
        stage
            .get("/", "cookie: banyan_subject=forged\r\n")
            .await
            .status(),
        stage.get("/", "").await.status(),
    ];
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn an_address_is_the_clients_and_a_route_is_everybodys() {
    let legacy = Scripted::saying("hello").await;
    let trusted = "trusted_proxies = [\"127.0.0.0/8\"]\n";
    let by_ip = Stage::open(&format!("{trusted}{}", limited(&legacy, "ip", ""))).await;
    let by_route = Stage::open(&format!("{trusted}{}", limited(&legacy, "route", ""))).await;
    let from = |address: &str| format!("x-forwarded-for: {address}\r\n");
    for (address, of_ip, of_route) in [
        ("1.1.1.1", 200, 200),
        ("1.1.1.1", 200, 200),
        ("1.1.1.1", 429, 429),
        ("2.2.2.2", 200, 429),
        ("2001:db8::1", 200, 429),
        ("2001:db8::2", 200, 429),
        ("2001:db8::3", 429, 429),
    ] {
        let status = by_ip.get("/", &from(address)).await.status();
        assert_eq!(status, of_ip, "{address} by address");
        let status = by_route.get("/", &from(address)).await.status();
        assert_eq!(status, of_route, "{address} on the route");
    }
}

#[tokio::test]
async fn a_refused_token_costs_nothing_of_the_limit() {
    let legacy = Scripted::saying("hello").await;
    let auth = "auth = { required = true }\n\
                [[auth.issuers]]\nissuer = \"i\"\nsecret = \"0123456789abcdef\"\n";
    let stage = Stage::open(&limited(&legacy, "ip", auth)).await;
    for _ in 0..3 {
        let reply = stage.get("/", "").await;
        assert_eq!((reply.status(), reply.header("ratelimit")), (401, None));
    }
    assert_eq!(stage.stats("all").limited, 0);
}

#[tokio::test]
async fn a_reload_forgets_no_count_unless_the_limit_itself_was_edited() {
    let legacy = Scripted::saying("hello").await;
    let text = limited(&legacy, "ip", "");
    let stage = Stage::open(&text).await;
    stage.get("/", "").await;
    stage.get("/", "").await;
    stage.reload(&format!("{text}\nmax_body = 1000\n")).await;
    assert_eq!(stage.get("/", "").await.status(), 429);
    stage.reload(&text.replace("2/h", "3/h")).await;
    assert_eq!(stage.get("/", "").await.status(), 200);
    stage
        .reload(&text.replace("rate_limit", "# rate_limit"))
        .await;
    let unlimited = stage.get("/", "").await;
    assert_eq!(
        (unlimited.status(), unlimited.header("ratelimit")),
        (200, None)
    );
}
