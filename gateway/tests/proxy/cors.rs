//! Pages of other origins, as browsers ask for them.

use crate::scripted::{Act, Scripted};
use crate::stage::{Reply, Stage, upstream};

const PAGE: &str = "origin: https://app.example\r\n";
const OTHER: &str = "origin: https://evil.example\r\n";

async fn stage(legacy: &Scripted, cors: &str) -> Stage {
    Stage::open(&format!(
        "{}\n[[auth.issuers]]\nissuer = \"i\"\nsecret = \"0123456789abcdef\"\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         [[routes]]\nid = \"api\"\nprefix = \"/api\"\nlegacy = \"legacy\"\n\
         methods = [\"GET\", \"PUT\"]\nauth = {{ required = true }}\ncors = {cors}\n\
         [[routes]]\nid = \"open\"\nprefix = \"/open\"\nlegacy = \"legacy\"\ncors = {cors}\n",
        upstream("legacy", legacy.address, "")
    ))
    .await
}

const NAMED: &str = "{ origins = [\"https://app.example\"], headers = [\"x-csrf\", \"content-type\"], \
                     credentials = true, max_age = \"10m\", expose = [\"x-total\"] }";

async fn ask(stage: &Stage, method: &str, path: &str, headers: &str) -> Reply {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: shop.example\r\n{headers}\r\n");
    stage.ask(&request).await
}

#[tokio::test]
async fn a_browsers_question_is_answered_before_anybody_is_authenticated() {
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&legacy, NAMED).await;
    let asks = format!(
        "{PAGE}access-control-request-method: PUT\r\naccess-control-request-headers: x-csrf\r\n"
    );
    let reply = ask(&stage, "OPTIONS", "/api/x", &asks).await;
    assert_eq!(reply.status(), 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "x-csrf, content-type"),
        ("access-control-max-age", "600"),
        ("x-banyan-route", "api"),
        (
            "vary",
            "origin, access-control-request-method, access-control-request-headers",
        ),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert_eq!(legacy.count(), 0);
    assert_eq!(stage.stats("api").preflights, 1);
}

#[tokio::test]
async fn another_page_gets_no_permission() {
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&legacy, NAMED).await;
    let asks = format!("{OTHER}access-control-request-method: PUT\r\n");
    let reply = ask(&stage, "OPTIONS", "/api/x", &asks).await;
    assert_eq!(reply.status(), 204);
    for origin in [
        OTHER,
        "origin: null\r\n",
        "origin: https://app.example.evil\r\n",
    ] {
        let reply = ask(&stage, "GET", "/open", origin).await;
        assert_eq!(
            reply.header("access-control-allow-origin"),
            None,
            "{origin}"
        );
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        assert_eq!(reply.header("vary"), Some("origin"));
    }
    let allowed = reply
        .head
        .lines()
        .filter(|line| line.starts_with("access-control"));
    assert_eq!(allowed.count(), 0, "{}", reply.head);
}

#[tokio::test]
async fn what_is_no_browsers_question_goes_to_the_upstream() {
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&legacy, NAMED).await;
    for headers in ["", PAGE, "access-control-request-method: PUT\r\n"] {
        let reply = ask(&stage, "OPTIONS", "/open", headers).await;
        assert_eq!(
            (reply.status(), reply.body.as_str()),
            (200, "hello"),
            "{headers}"
        );
    }
    // The method that is asked about is one that another route takes, which says nothing of pages.
    let asks = format!("{PAGE}access-control-request-method: PATCH\r\n");
    let reply = ask(&stage, "OPTIONS", "/other", &asks).await;
    assert_eq!((reply.status(), reply.body.as_str()), (200, "hello"));
    assert_eq!(legacy.count(), 4);
}

#[tokio::test]
async fn a_page_can_read_answers_and_refusals_and_the_upstream_does_not_contradict() {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\naccess-control-allow-origin: *\r\n\
                access-control-allow-origin: https://evil.example\r\n\
                access-control-expose-headers: x-secret\r\n\r\nhi";
    let legacy = Scripted::always(Act::Say(text.to_owned())).await;
    let stage = stage(&legacy, NAMED).await;
    let answer = ask(&stage, "GET", "/open", PAGE).await;
    let refusal = ask(&stage, "GET", "/api", PAGE).await;
    assert_eq!((answer.status(), refusal.status()), (200, 401));
    for reply in [&answer, &refusal] {
        let origins = reply.head.matches("access-control-allow-origin:").count();
        assert_eq!(origins, 1, "{}", reply.head);
        let origin = reply.header("access-control-allow-origin");
        assert_eq!(origin, Some("https://app.example"));
        assert_eq!(
            reply.header("access-control-expose-headers"),
            Some("x-total")
        );
    }
    let untouched = ask(&stage, "GET", "/", PAGE).await;
    assert_eq!(untouched.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn everybodys_pages_are_let_in_without_credentials_and_without_vary() {
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&legacy, "{ origins = [\"*\"], headers = [\"*\"] }").await;
    let reply = ask(&stage, "GET", "/open", OTHER).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    assert_eq!(reply.header("vary"), None);
    let asks = format!("{OTHER}access-control-request-method: DELETE\r\n");
    let reply = ask(&stage, "OPTIONS", "/open", &asks).await;
    assert_eq!(reply.header("access-control-allow-headers"), None);
    let methods = reply.header("access-control-allow-methods").unwrap();
    assert_eq!(methods, "GET, HEAD, POST, PUT, PATCH, DELETE");
}

#[tokio::test]
async fn where_all_headers_are_allowed_those_that_are_asked_for_are_named() {
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&legacy, "{ origins = [\"*\"], headers = [\"*\"] }").await;
    let asks = "access-control-request-method: PUT\r\n\
                access-control-request-headers: authorization,x-csrf\r\n";
    let reply = ask(&stage, "OPTIONS", "/open", &format!("{OTHER}{asks}")).await;
    let allowed = reply.header("access-control-allow-headers");
    assert_eq!(allowed, Some("authorization,x-csrf"));
    let vary = reply.header("vary").unwrap();
    assert!(vary.contains("access-control-request-headers"), "{vary}");
    // A page that may not is told nothing.
    let named = "{ origins = [\"https://app.example\"], headers = [\"*\"] }";
    let stage = self::stage(&legacy, named).await;
    let reply = ask(&stage, "OPTIONS", "/open", &format!("{OTHER}{asks}")).await;
    assert_eq!(reply.header("access-control-allow-headers"), None);
}

#[tokio::test]
async fn what_is_refused_on_a_routes_account_is_told_and_counted_as_the_routes() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"open\"\nprefix = \"/open\"\nlegacy = \"legacy\"\nmax_body = 3\n\
         cors = {{ origins = [\"https://app.example\"] }}\n\
         response_headers = {{ set = {{ x-frame-options = \"DENY\" }} }}\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    let large = stage.post("/open", PAGE, "four").await;
    let separator = ask(&stage, "GET", "/open/a%2Fb", PAGE).await;
    for (reply, status, code) in [
        (&large, 413, "body_too_large"),
        (&separator, 400, "encoded_separator"),
    ] {
        assert_eq!((reply.status(), reply.code().as_str()), (status, code));
        let origin = reply.header("access-control-allow-origin");
        assert_eq!(origin, Some("https://app.example"), "{}", reply.head);
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        assert_eq!(reply.header("x-banyan-route"), Some("open"));
    }
    let refused = stage.stats("open").refused;
    assert_eq!(refused, 2);
    assert_eq!(legacy.count(), 0);
}
