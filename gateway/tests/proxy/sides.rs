//! Who goes where: flags, subjects, the cookie.

use std::collections::BTreeMap;

use crate::scripted::{Act, Scripted, ok};
use crate::stage::{Reply, Stage, upstream};

fn config(legacy: &Scripted, candidate: &Scripted, flag: &str) -> String {
    format!(
        "cookie_key = \"0123456789abcdef0123456789abcdef\"\n{}\n{}\n[flags.move]\n{flag}\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\ncandidate = \"quiz\"\n\
         flag = \"move\"\nfallback = true\n",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", candidate.address, ""),
    )
}

async fn sides() -> (Scripted, Scripted) {
    (
        Scripted::saying("legacy").await,
        Scripted::saying("candidate").await,
    )
}

/// The `banyan_subject` that a response sets.
fn cookie(reply: &Reply) -> Option<String> {
    let set = reply.header("set-cookie")?;
    let pair = set.split(';').next()?;
    pair.starts_with("banyan_subject=").then(|| pair.to_owned())
}

#[tokio::test]
async fn a_subject_stays_on_its_side_and_a_higher_percent_moves_nobody_back() {
    let (legacy, candidate) = sides().await;
    let flag = |percent| format!("percent = {percent}.0\nsubject = [\"header:x-user-id\"]");
    let stage = Stage::open(&config(&legacy, &candidate, &flag(30))).await;
    let mut over = BTreeMap::new();
    for percent in [30, 30, 60] {
        stage
            .reload(&config(&legacy, &candidate, &flag(percent)))
            .await;
        stage.control.apply_flag_edits().await;
        for number in 0..40 {
            let reply = stage
                .get("/", &format!("x-user-id: user-{number}\r\n"))
                .await;
            let is_over = reply.body == "candidate";
            let was_over = over.insert(number, is_over).unwrap_or(is_over);
            assert!(is_over || !was_over, "user-{number} moved back");
            assert!(
                percent == 60 || is_over == was_over,
                "user-{number} moved without a change"
            );
        }
    }
    let share = over.values().filter(|is_over| **is_over).count();
    assert!((12..=36).contains(&share), "{share} of 40 at 60 %");
    let seen = legacy.seen();
    let subject = seen[0].header("x-banyan-subject").unwrap();
    assert!(subject.starts_with("user-"));
}

#[tokio::test]
async fn a_client_without_a_subject_is_given_one_that_decides_from_then_on() {
    let (legacy, candidate) = sides().await;
    let flag = "percent = 50.0\nsubject = [\"cookie:banyan_subject\"]";
    let stage = Stage::open(&config(&legacy, &candidate, flag)).await;
    let mut bodies = BTreeMap::new();
    for _ in 0..24 {
        let first = stage.get("/", "").await;
        let cookie = cookie(&first).expect("a cookie from both sides");
        let second = stage.get("/", &format!("cookie: {cookie}\r\n")).await;
        assert_eq!(
            first.body, second.body,
            "the minted subject decided its own request, too"
        );
        assert_eq!(second.header("set-cookie"), None);
        *bodies.entry(first.body).or_insert(0) += 1;
    }
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    let pairs: Vec<_> = candidate.seen();
    assert_eq!(
        pairs[0].header("x-banyan-subject"),
        pairs[1].header("x-banyan-subject")
    );
}

#[tokio::test]
async fn a_tampered_cookie_is_replaced() {
    let (legacy, candidate) = sides().await;
    let flag = "percent = 0.0\nallow = [\"chosen\"]\nsubject = [\"cookie:banyan_subject\"]";
    let stage = Stage::open(&config(&legacy, &candidate, flag)).await;
    let signed = cookie(&stage.get("/", "").await).expect("a cookie");
    let (_, signature) = signed.rsplit_once(':').expect("a signature");
    for forged in ["chosen".to_owned(), format!("v1:chosen::{signature}")] {
        let reply = stage
            .get("/", &format!("cookie: banyan_subject={forged}\r\n"))
            .await;
        assert_eq!(reply.body, "legacy");
        assert!(cookie(&reply).is_some(), "a new one is minted");
    }
}

#[tokio::test]
async fn no_cookie_is_set_on_what_a_shared_cache_may_keep() {
    let cacheable = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncache-control: public, max-age=60\r\n\
                     \r\n";
    let legacy = Scripted::always(Act::Say(cacheable.to_owned())).await;
    let candidate = Scripted::saying("candidate").await;
    let flag = "percent = 0.0\nsubject = [\"cookie:banyan_subject\"]";
    let stage = Stage::open(&config(&legacy, &candidate, flag)).await;
    assert_eq!(stage.get("/", "").await.header("set-cookie"), None);
    legacy.now(Act::Say(ok("private")));
    assert!(stage.get("/", "").await.header("set-cookie").is_some());
}

#[tokio::test]
async fn draining_keeps_who_was_over_and_takes_nobody_new() {
    let (legacy, candidate) = sides().await;
    let flag = |more: &str| format!("{more}\nsubject = [\"cookie:banyan_subject\"]");
    let stage = Stage::open(&config(&legacy, &candidate, &flag("percent = 100.0"))).await;
    let over = cookie(&stage.get("/", "").await).expect("a stamped cookie");
    let draining = flag("percent = 0.0\ndrain = true");
    stage.reload(&config(&legacy, &candidate, &draining)).await;
    stage.control.apply_flag_edits().await;
    let known = stage.get("/", &format!("cookie: {over}\r\n")).await;
    assert_eq!(known.body, "candidate");
    assert_eq!(stage.get("/", "").await.body, "legacy");
}

#[tokio::test]
async fn draining_keeps_who_was_over_by_another_name_than_the_cookie() {
    for sources in [
        "[\"header:x-user-id\"]",
        "[\"cookie:banyan_subject\", \"header:x-user-id\"]",
    ] {
        let (legacy, candidate) = sides().await;
        let flag = |more: &str| format!("{more}\nsubject = {sources}");
        let stage = Stage::open(&config(&legacy, &candidate, &flag("percent = 100.0"))).await;
        let ann = "x-user-id: ann\r\n";
        let over = cookie(&stage.get("/", ann).await).expect("a stamped cookie");
        let ann_again = format!("{ann}cookie: {over}\r\n");
        let again = stage.get("/", &ann_again).await;
        assert_eq!(again.header("set-cookie"), None, "it is stamped already");
        let seen = candidate.seen();
        assert_eq!(seen[1].header("x-banyan-subject"), Some("ann"));

        let draining = flag("percent = 0.0\ndrain = true");
        stage.reload(&config(&legacy, &candidate, &draining)).await;
        stage.control.apply_flag_edits().await;
        assert_eq!(stage.get("/", &ann_again).await.body, "candidate");
        let new = stage.get("/", "x-user-id: bob\r\n").await;
        assert_eq!((new.body.as_str(), cookie(&new)), ("legacy", None));
    }
}

#[tokio::test]
async fn each_side_is_counted_for_itself() {
    let (legacy, candidate) = sides().await;
    let flag = "percent = 0.0\nallow = [\"ann\"]\nsubject = [\"header:x-user-id\"]";
    let stage = Stage::open(&config(&legacy, &candidate, flag)).await;
    for user in ["ann", "bob", "cid"] {
        stage.get("/", &format!("x-user-id: {user}\r\n")).await;
    }
    let stats = stage.stats("all");
    assert_eq!((stats.legacy.requests, stats.candidate.requests), (2, 1));
    assert_eq!(
        (stats.legacy.latency.count, stats.candidate.latency.count),
        (2, 1)
    );
}

#[tokio::test]
async fn a_rewrite_is_for_the_candidate_only_and_is_mapped_back() {
    let moved = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: /v1/answers/7\r\n\
                 set-cookie: a=1; Path=/v1\r\n\r\n";
    let legacy = Scripted::always(Act::Say(moved.to_owned())).await;
    let candidate = Scripted::always(Act::Say(moved.to_owned())).await;
    let flag = "percent = 0.0\nallow = [\"ann\"]\nsubject = [\"header:x-user-id\"]";
    let rewrite = "rewrite = { strip_prefix = \"/api\", add_prefix = \"/v1\" }\n";
    let text = format!("{}{rewrite}", config(&legacy, &candidate, flag));
    let stage = Stage::open(&text).await;
    let over = stage.get("/api/answers?x=1", "x-user-id: ann\r\n").await;
    assert_eq!(over.header("location"), Some("/api/answers/7"));
    assert_eq!(over.header("set-cookie"), Some("a=1; Path=/api"));
    assert_eq!(candidate.seen()[0].line(), "GET /v1/answers?x=1 HTTP/1.1");
    let stays = stage.get("/api/answers?x=1", "x-user-id: bob\r\n").await;
    assert_eq!(stays.header("location"), Some("/v1/answers/7"));
    assert_eq!(legacy.seen()[0].line(), "GET /api/answers?x=1 HTTP/1.1");
}

#[tokio::test]
async fn a_fallback_sends_legacy_the_path_that_legacy_knows() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::always(Act::Close).await;
    let rewrite = "rewrite = { strip_prefix = \"/api\" }\n";
    let text = format!(
        "{}{rewrite}",
        config(&legacy, &candidate, "percent = 100.0")
    );
    let stage = Stage::open(&text).await;
    assert_eq!(stage.get("/api/answers", "").await.body, "legacy");
    assert_eq!(candidate.seen()[0].line(), "GET /answers HTTP/1.1");
    assert_eq!(legacy.seen()[0].line(), "GET /api/answers HTTP/1.1");
}

#[tokio::test]
async fn a_client_known_by_its_address_keeps_its_side_when_the_address_changes() {
    let (legacy, candidate) = sides().await;
    let flag = "percent = 0.0\nallow = [\"7.7.7.7\"]\n\
                subject = [\"jwt:sub\", \"cookie:banyan_subject\", \"header:x-user-id\", \"ip\"]";
    let auth = "[auth]\n[[auth.issuers]]\nissuer = \"a\"\n\
                secret = \"0123456789abcdef0123456789abcdef\"\n";
    let trusted = "trusted_proxies = [\"127.0.0.0/8\"]\n";
    let text = format!("{trusted}{}{auth}", config(&legacy, &candidate, flag));
    let stage = Stage::open(&text).await;
    let first = stage.get("/", "x-forwarded-for: 7.7.7.7\r\n").await;
    assert_eq!(first.body, "candidate");
    let cookie = cookie(&first).expect("a cookie");
    let elsewhere = format!("x-forwarded-for: 8.8.8.8\r\ncookie: {cookie}\r\n");
    assert_eq!(stage.get("/", &elsewhere).await.body, "candidate");
    assert_eq!(
        stage.get("/", "x-forwarded-for: 8.8.8.8\r\n").await.body,
        "legacy"
    );
    let named = stage
        .get("/", "x-forwarded-for: 7.7.7.7\r\nx-user-id: ann\r\n")
        .await;
    assert_eq!(
        (named.body.as_str(), named.header("set-cookie")),
        ("legacy", None)
    );
}
