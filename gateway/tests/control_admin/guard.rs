//! Whom the admin API refuses.

use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{FLAG, Gateway, TOKENS, answer};

#[tokio::test]
async fn bodies_must_be_json_and_say_so() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let path = format!("{FLAG}/rollback");
    let form = gateway
        .request(Method::POST, &path)
        .body("{\"reason\":\"r\"}");
    let (status, problem) = answer(form.send().await?).await?;
    assert_eq!(
        (status, &problem["code"]),
        (415, &json!("unsupported_media_type"))
    );
    let broken = gateway
        .request(Method::POST, &path)
        .header("content-type", "application/json");
    let (status, _) = answer(broken.body("{").send().await?).await?;
    assert_eq!(status, 400);
    assert_eq!(gateway.get(FLAG).await?["killed"], false);
    Ok(())
}

#[tokio::test]
async fn pages_of_other_origins_and_rebound_names_are_refused() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let own = format!("http://{}", gateway.address);
    for (name, value, expected) in [
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "http://127.0.0.1:1", 403),
        ("origin", own.as_str(), 200),
        ("host", "evil.example", 403),
        ("host", "127.0.0.1.evil.example", 403),
        ("host", "localhost:8081", 200),
        ("host", "[::1]:8081", 200),
    ] {
        let response = gateway
            .request(Method::GET, FLAG)
            .header(name, value)
            .send()
            .await?;
        assert_eq!(response.status().as_u16(), expected, "{name}: {value}");
    }
    Ok(())
}

#[tokio::test]
async fn without_tokens_the_actor_names_itself() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let path = format!("{FLAG}/rollback");
    let request = gateway
        .request(Method::POST, &path)
        .json(&json!({ "reason": "r" }));
    assert_eq!(request.send().await?.status().as_u16(), 200);
    let history = gateway.get(&format!("{FLAG}/history")).await?;
    assert_eq!(history["items"][0]["actor"], "operator");
    let long = gateway
        .request(Method::GET, FLAG)
        .header("x-banyan-actor", "x".repeat(65));
    assert_eq!(long.send().await?.status().as_u16(), 400);
    Ok(())
}

#[tokio::test]
async fn with_tokens_only_they_open_and_a_viewer_changes_nothing() -> anyhow::Result<()> {
    let gateway = Gateway::start(TOKENS).await?;
    let with = |method: Method, path: &str, token: &str| {
        gateway
            .request(method, path)
            .header("authorization", format!("Bearer {token}"))
    };
    let (status, problem) = answer(gateway.request(Method::GET, FLAG).send().await?).await?;
    assert_eq!(
        (status, &problem["code"]),
        (401, &json!("admin_token_required"))
    );
    let wrong = with(Method::GET, FLAG, "ann-ann-ann-ann-anX")
        .send()
        .await?;
    assert_eq!(wrong.status().as_u16(), 401);

    let (viewer, operator) = ("vic-vic-vic-vic-vic", "ann-ann-ann-ann-ann");
    assert_eq!(
        with(Method::GET, FLAG, viewer)
            .send()
            .await?
            .status()
            .as_u16(),
        200
    );
    let question = json!({ "method": "GET", "path": "/" });
    let explain = with(Method::POST, "/admin/explain", viewer).json(&question);
    assert_eq!(explain.send().await?.status().as_u16(), 200);
    let path = format!("{FLAG}/rollback");
    let body = json!({ "reason": "r" });
    let (status, problem) =
        answer(with(Method::POST, &path, viewer).json(&body).send().await?).await?;
    assert_eq!(
        (status, &problem["code"]),
        (403, &json!("operator_required"))
    );

    let rollback = with(Method::POST, &path, operator).header("x-banyan-actor", "somebody");
    assert_eq!(rollback.json(&body).send().await?.status().as_u16(), 200);
    let history = with(Method::GET, &format!("{FLAG}/history"), viewer)
        .send()
        .await?;
    let history: Value = history.json().await?;
    assert_eq!(
        history["items"][0]["actor"], "ann",
        "the token's name, not the header's"
    );
    Ok(())
}
