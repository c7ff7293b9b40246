//! Which requests may go to the other side, counted on both.

use crate::scripted::{Act, Scripted, ok, response};
use crate::stage::{Stage, upstream};

fn failing(status: &str) -> Act {
    Act::Say(response(status, "text/html", "<h1>no</h1>"))
}

fn coded() -> Act {
    Act::Say(response(
        "503 Service Unavailable",
        "application/problem+json; charset=utf-8",
        r#"{"code":"answer_compensated","detail":"no"}"#,
    ))
}

#[tokio::test]
async fn a_refused_connection_lets_every_method_fall_back() {
    let legacy = Scripted::saying("legacy").await;
    let stage = Stage::moved(legacy.address, Scripted::absent().await, "").await;
    let replies = [
        stage.get("/", "").await,
        stage.post("/", "", "order").await,
        stage.post("/", "idempotency-key: k1\r\n", "order").await,
    ];
    for reply in replies {
        assert_eq!((reply.status(), reply.body.as_str()), (200, "legacy"));
        assert_eq!(reply.header("x-banyan-fallback"), Some("1"));
        assert_eq!(reply.header("x-banyan-upstream"), Some("legacy"));
    }
    assert_eq!(legacy.count(), 3);
    assert_eq!(legacy.seen()[1].body, b"order");
    let stats = stage.stats("all");
    assert_eq!((stats.candidate.fallbacks, stats.legacy.requests), (3, 3));
    assert_eq!(stats.candidate.failures, 3);
}

#[tokio::test]
async fn a_safe_request_falls_back_after_any_failure() {
    let acts = [
        Act::Close,
        failing("500 Internal Server Error"),
        failing("502 Bad Gateway"),
        failing("503 Service Unavailable"),
        failing("504 Gateway Timeout"),
        Act::SayAndClose("garbage\r\n\r\n".to_owned()),
    ];
    for act in acts {
        let legacy = Scripted::saying("legacy").await;
        let candidate = Scripted::always(act.clone()).await;
        let stage = Stage::moved(legacy.address, candidate.address, "").await;
        let reply = stage.get("/", "").await;
        assert_eq!(
            (reply.status(), reply.body.as_str()),
            (200, "legacy"),
            "{act:?}"
        );
        assert_eq!(reply.header("x-banyan-fallback"), Some("1"));
        assert_eq!((candidate.count(), legacy.count()), (1, 1));
    }
}

#[tokio::test]
async fn an_unsafe_request_that_was_sent_never_meets_the_other_side() {
    for act in [
        Act::Close,
        failing("503 Service Unavailable"),
        failing("500 Oops"),
    ] {
        for headers in ["", "idempotency-key: k1\r\n"] {
            let legacy = Scripted::saying("legacy").await;
            let candidate = Scripted::always(act.clone()).await;
            let stage = Stage::moved(legacy.address, candidate.address, "").await;
            let reply = stage.post("/", headers, "order").await;
            assert!(reply.status() >= 500, "{act:?} {headers:?}: {reply:?}");
            assert_eq!(reply.header("x-banyan-fallback"), None);
            assert_eq!((candidate.count(), legacy.count()), (1, 0), "{act:?}");
        }
    }
}

#[tokio::test]
async fn an_idempotent_but_unsafe_request_that_was_sent_stays_too() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::always(Act::Close).await;
    let stage = Stage::moved(legacy.address, candidate.address, "").await;
    let reply = stage.ask("DELETE /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(reply.status(), 502);
    assert_eq!((candidate.count(), legacy.count()), (1, 0));
}

#[tokio::test]
async fn a_coded_503_is_the_applications_answer() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::always(coded()).await;
    let stage = Stage::moved(legacy.address, candidate.address, "").await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (503, "answer_compensated")
    );
    assert_eq!(reply.header("x-banyan-fallback"), None);
    assert_eq!((candidate.count(), legacy.count()), (1, 0));
    assert_eq!(stage.stats("all").candidate.failures, 0);
}

#[tokio::test]
async fn a_timeout_lets_a_safe_request_fall_back() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::always(Act::Hang).await;
    let stage = Stage::open(&format!(
        "{}\n{}\n[flags.move]\npercent = 100.0\n[[routes]]\nid = \"all\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\ncandidate = \"quiz\"\nflag = \"move\"\nfallback = true\n",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", candidate.address, "timeout = \"100ms\""),
    ))
    .await;
    assert_eq!(stage.get("/", "").await.body, "legacy");
    let reply = stage.post("/", "", "order").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (504, "upstream_timeout")
    );
    assert_eq!(legacy.count(), 1);
}

#[tokio::test]
async fn an_open_circuit_sends_everybody_to_legacy() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::always(failing("500 Oops")).await;
    let stage = Stage::open(&format!(
        "{}\n{}\n[flags.move]\npercent = 100.0\n[[routes]]\nid = \"all\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\ncandidate = \"quiz\"\nflag = \"move\"\nfallback = true\n",
        upstream("legacy", legacy.address, ""),
        upstream(
            "quiz",
            candidate.address,
            "breaker = { failures = 2, window = \"60s\", open_for = \"60s\" }"
        ),
    ))
    .await;
    for _ in 0..2 {
        assert_eq!(stage.get("/", "").await.body, "legacy");
    }
    // Not sent at all by now, so that unsafe requests go over as well.
    let reply = stage.post("/", "", "order").await;
    assert_eq!(reply.header("x-banyan-fallback"), Some("1"));
    assert_eq!((candidate.count(), legacy.count()), (2, 3));
}

#[tokio::test]
async fn a_route_that_does_not_say_so_never_falls_back() {
    let legacy = Scripted::saying("legacy").await;
    let stage = Stage::open(&format!(
        "{}\n{}\n[flags.move]\npercent = 100.0\n[[routes]]\nid = \"all\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\ncandidate = \"quiz\"\nflag = \"move\"\nfallback = false\n",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", Scripted::absent().await, ""),
    ))
    .await;
    let reply = stage.get("/", "").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (502, "upstream_unreachable")
    );
    assert_eq!(reply.header("x-banyan-route"), Some("all"));
    assert_eq!(legacy.count(), 0);
    assert_eq!(stage.stats("all").candidate.by_class["5xx"], 1);
}

#[tokio::test]
async fn legacy_never_falls_back_to_the_candidate() {
    let candidate = Scripted::saying("candidate").await;
    let legacy = Scripted::always(Act::Close).await;
    let stage = Stage::open(&format!(
        "{}\n{}\n[flags.move]\npercent = 0.0\n[[routes]]\nid = \"all\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\ncandidate = \"quiz\"\nflag = \"move\"\nfallback = true\n",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", candidate.address, ""),
    ))
    .await;
    assert_eq!(stage.get("/", "").await.status(), 502);
    assert_eq!(candidate.count(), 0);
}

#[tokio::test]
async fn when_both_sides_fail_the_client_gets_what_the_chosen_one_said() {
    let legacy = Scripted::always(failing("500 Legacy")).await;
    let candidate = Scripted::always(failing("503 Candidate")).await;
    let stage = Stage::moved(legacy.address, candidate.address, "").await;
    let reply = stage.get("/", "").await;
    assert_eq!(reply.status(), 503);
    assert_eq!(reply.header("x-banyan-upstream"), Some("quiz"));
    assert_eq!((candidate.count(), legacy.count()), (1, 1));
}

#[tokio::test]
async fn a_key_stays_with_the_side_that_first_got_it_across_a_flip() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::script([Act::Close], Act::Say(ok("candidate"))).await;
    let moved = |percent: u8| {
        format!(
            "{}\n{}\n[flags.move]\npercent = {percent}.0\nsubject = [\"header:x-user-id\"]\n\
             [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
             candidate = \"quiz\"\nflag = \"move\"\nfallback = true\n",
            upstream("legacy", legacy.address, ""),
            upstream("quiz", candidate.address, ""),
        )
    };
    let stage = Stage::open(&moved(100)).await;
    let keyed = "x-user-id: ann\r\nidempotency-key: k1\r\n";
    assert_eq!(
        stage.post("/", keyed, "order").await.status(),
        502,
        "it may have been got"
    );
    stage.reload(&moved(0)).await;
    stage.control.apply_flag_edits().await;
    assert_eq!(
        stage.post("/", "x-user-id: ann\r\n", "other").await.body,
        "legacy"
    );
    assert_eq!(stage.post("/", keyed, "order").await.body, "candidate");
    let other = "x-user-id: bob\r\nidempotency-key: k1\r\n";
    assert_eq!(stage.post("/", other, "order").await.body, "legacy");
    assert_eq!((candidate.count(), legacy.count()), (2, 2));
}

#[tokio::test]
async fn a_request_whose_sent_or_overriding_method_is_unsafe_is_treated_as_unsafe() {
    for (sent, acts_as) in [("GET", "POST"), ("POST", "GET")] {
        let legacy = Scripted::saying("legacy").await;
        let candidate = Scripted::script([Act::Close, Act::Close], Act::Say(ok("candidate"))).await;
        let moved = |percent: u8| {
            format!(
                "{}\n{}\n[flags.move]\npercent = {percent}.0\nsubject = [\"header:x-user-id\"]\n\
                 [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
                 candidate = \"quiz\"\nflag = \"move\"\nfallback = true\nmethod_override = true\n",
                upstream("legacy", legacy.address, ""),
                upstream(
                    "quiz",
                    candidate.address,
                    "retry = { attempts = 3, budget_percent = 100 }"
                ),
            )
        };
        let stage = Stage::open(&moved(100)).await;
        let ask = |key: &str| {
            format!(
                "{sent} / HTTP/1.1\r\nhost: a\r\nx-http-method: {acts_as}\r\n\
                 x-user-id: ann\r\n{key}\r\n"
            )
        };
        let keyed = ask("idempotency-key: k1\r\n");
        for (request, count) in [(&ask(""), 1), (&keyed, 2)] {
            let reply = stage.ask(request).await;
            assert_eq!(reply.status(), 502, "{sent} as {acts_as}");
            // Neither again at this side nor at the other one.
            assert_eq!((candidate.count(), legacy.count()), (count, 0));
        }
        stage.reload(&moved(0)).await;
        stage.control.apply_flag_edits().await;
        let reply = stage.ask(&keyed).await;
        assert_eq!(
            reply.body, "candidate",
            "the key stays: {sent} as {acts_as}"
        );
    }
}
