//! Rate limits: who is counted with whom, what they are told, and that a reload forgets nothing.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

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

const ISSUER: &str = "[[auth.issuers]]\nissuer = \"i\"\nsecret = \"0123456789abcdef\"\n";

/// A token with this `sub`.
fn user(name: &str) -> String {
    let key = EncodingKey::from_secret(b"0123456789abcdef");
    let claims = json!({"iss": "i", "sub": name, "exp": 9_999_999_999_u64});
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    format!("authorization: Bearer {}\r\n", token.expect("a token"))
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
    let stage = Stage::open(&limited(&legacy, "subject", ISSUER)).await;
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
async fn a_name_that_is_had_for_nothing_gives_no_burst_and_spends_nobody_elses() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&limited(&legacy, "subject", ISSUER)).await;
    let mut statuses = Vec::new();
    let mut cookie = String::new();
    for name in ["ann", "bob", "tom", "ann"] {
        let given = stage.get("/", &cookie).await;
        let set = given.header("set-cookie").unwrap_or_default();
        let pair = set.split(';').next().unwrap_or_default();
        cookie = format!("cookie: {pair}\r\n");
        statuses.push(given.status());
        let named = stage.get("/", &format!("x-user-id: {name}\r\n")).await;
        statuses.push(named.status());
    }
    assert_eq!(statuses, [200, 200, 429, 429, 429, 429, 429, 429]);
    // A forged token is no name either.
    let forged = user("ann").replace("\r\n", "x\r\n");
    assert_eq!(stage.get("/", &forged).await.status(), 429);
    // Who proves who it is has what is its own, however it is called besides.
    for (more, status) in [("", 200), ("x-user-id: bob\r\n", 200), (&cookie, 429)] {
        let reply = stage.get("/", &format!("{}{more}", user("ann"))).await;
        assert_eq!(reply.status(), status, "{more}");
    }
}

#[tokio::test]
async fn a_flag_that_reads_addresses_makes_no_subjects_of_one_networks_addresses() {
    let legacy = Scripted::saying("hello").await;
    let text = limited(&legacy, "subject", "");
    let text = text.replace("\"header:x-user-id\", \"cookie:banyan_subject\"", "\"ip\"");
    let text = format!("trusted_proxies = [\"127.0.0.0/8\"]\n{text}");
    let stage = Stage::open(&text).await;
    for (address, status) in [
        ("2001:db8::1", 200),
        ("2001:db8::2", 200),
        ("2001:db8::3", 429),
        ("2001:db8:0:1::3", 200),
    ] {
        let from = format!("x-forwarded-for: {address}\r\n");
        assert_eq!(stage.get("/", &from).await.status(), status, "{address}");
    }
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
    let auth = format!("auth = {{ required = true }}\n{ISSUER}");
    let stage = Stage::open(&limited(&legacy, "route", &auth)).await;
    for _ in 0..3 {
        let reply = stage.get("/", "").await;
        assert_eq!((reply.status(), reply.header("ratelimit")), (401, None));
    }
    assert_eq!(stage.stats("all").limited, 0);
}

#[tokio::test]
async fn who_guesses_tokens_is_bounded_by_its_address() {
    let legacy = Scripted::saying("hello").await;
    let auth = format!("auth = {{ required = true }}\n{ISSUER}");
    let stage = Stage::open(&limited(&legacy, "ip", &auth)).await;
    let forged = user("ann").replace("\r\n", "x\r\n");
    for status in [401, 401, 429] {
        assert_eq!(stage.get("/", &forged).await.status(), status);
    }
    assert_eq!(stage.stats("all").limited, 1);
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
