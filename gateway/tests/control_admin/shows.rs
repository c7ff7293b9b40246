//! What the admin API shows.

use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{FLAG, Gateway, TOKENS, answer};

#[tokio::test]
async fn what_does_not_exist_is_not_found() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let cutover = format!("{FLAG}/cutover");
    for (method, path) in [
        (Method::GET, "/admin/flags/none"),
        (Method::GET, "/admin/flags/none/history"),
        (Method::GET, "/admin/routes/none"),
        (Method::GET, "/admin/shadow"),
        (Method::GET, "/nothing"),
        (Method::POST, cutover.as_str()),
    ] {
        let (status, problem) = answer(gateway.request(method, path).send().await?).await?;
        assert_eq!(status, 404, "{path} {problem}");
        assert!(problem["code"].is_string(), "{problem}");
    }
    let body = json!({ "version": 9, "reason": "r" });
    let (status, problem) = gateway
        .send(Method::POST, &format!("{FLAG}/restore"), body)
        .await?;
    assert_eq!((status, &problem["field"]), (422, &json!("version")));
    let (status, _) = answer(gateway.request(Method::DELETE, FLAG).send().await?).await?;
    assert_eq!(status, 405);
    Ok(())
}

#[tokio::test]
async fn explain_gives_the_published_bucket_and_the_reason() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let ask = async |more: Value| -> anyhow::Result<(u16, Value)> {
        let mut body = json!({ "method": "GET", "path": "/api/./answers//7?x=1" });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        gateway.send(Method::POST, "/admin/explain", body).await
    };
    let (_, told) = ask(json!({ "subject": "user-7" })).await?;
    assert_eq!(
        (&told["route"], &told["path"]),
        (&json!("answers"), &json!("/api/answers/7"))
    );
    assert_eq!(
        (&told["bucket"], &told["rule"]),
        (&json!(7381), &json!("percent"))
    );
    assert_eq!(
        (&told["side"], &told["upstream"]),
        (&json!("legacy"), &json!("legacy"))
    );
    assert_eq!(
        told["why"],
        "bucket 7381 of `user-7` is not below 2500 (25 %)"
    );

    gateway
        .patch(json!({ "percent": 73.82, "reason": "over" }))
        .await?;
    let (_, told) = ask(json!({ "headers": { "X-User-Id": "user-7" } })).await?;
    assert_eq!(
        (&told["subject"], &told["side"]),
        (&json!("user-7"), &json!("candidate"))
    );
    assert_eq!(
        (&told["upstream"], &told["version"]),
        (&json!("quiz"), &json!(2))
    );

    let (_, told) = ask(json!({ "path": "/other" })).await?;
    assert_eq!(
        (&told["route"], &told["flag"]),
        (&json!("all"), &Value::Null)
    );
    for (wrong, field) in [
        (json!({ "path": "no-slash" }), "path"),
        (json!({ "method": "A B" }), "method"),
        (json!({ "headers": { "a b": "x" } }), "headers.a b"),
        (json!({ "unknown": 1 }), "unknown"),
    ] {
        let (status, problem) = ask(wrong).await?;
        assert_eq!(
            (status, &problem["field"]),
            (422, &json!(field)),
            "{problem}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn explain_heeds_what_the_data_plane_heeds() -> anyhow::Result<()> {
    let gateway = Gateway::start(
        r#"
        [[auth.issuers]]
        issuer = "i"
        secret = "0123456789abcdef"
        [[routes]]
        id = "orders"
        path = "/users/{id}/orders"
        methods = ["POST"]
        legacy = "legacy"
        method_override = true
        rate_limit = { per = "ip", rate = "50/s", burst = 100 }
        [[routes]]
        id = "removal"
        path = "/users/{id}/orders"
        methods = ["DELETE"]
        legacy = "legacy"
        candidate = "quiz"
        flag = "quiz-cutover"
        method_override = true
        auth = { roles = ["admin"] }
        rate_limit = { rate = "5/s" }
        compress = ["gzip"]
        "#,
    )
    .await?;
    let ask = async |headers: Value| {
        let body = json!({ "method": "POST", "path": "/users/7/./orders/", "headers": headers });
        gateway.send(Method::POST, "/admin/explain", body).await
    };
    let (_, told) = ask(json!({ "x-forwarded-for": "9.9.9.9" })).await?;
    assert_eq!(
        (&told["route"], &told["actsAs"]),
        (&json!("orders"), &Value::Null)
    );
    assert_eq!(told["limitedBy"], "the address 9.9.9.9");
    assert_eq!(told["settings"]["template"], "/users/{id}/orders");
    let headers = json!({
        "X-HTTP-Method-Override": "DELETE",
        "x-user-id": "user-7",
        "x-auth-subject": "root",
        "connection": "x-private",
        "x-private": "1",
    });
    let (_, told) = ask(headers).await?;
    assert_eq!(
        (&told["route"], &told["actsAs"]),
        (&json!("removal"), &json!("DELETE"))
    );
    assert_eq!(told["auth"][0]["roles"], json!(["admin"]));
    // A header proves nothing: that is the flag's subject and not the limit's.
    assert_eq!(told["subject"], "user-7");
    assert_eq!(told["limitedBy"], "the address 127.0.0.1");
    assert_eq!(told["settings"]["compress"]["codings"], json!(["gzip"]));
    let mut removed: Vec<_> = told["removedHeaders"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    removed.sort_by_key(|name| name.to_string());
    assert_eq!(removed, ["connection", "x-auth-subject", "x-private"]);
    for headers in [
        json!({ "x-http-method": "DELETE", "x-method-override": "PUT" }),
        json!({ "x-http-method": "PATCH" }),
    ] {
        let (status, problem) = ask(headers).await?;
        assert_eq!(
            (status, &problem["field"]),
            (422, &json!("headers")),
            "{problem}"
        );
    }
    let path = json!({ "method": "GET", "path": "/a%2Fb" });
    let (status, problem) = gateway.send(Method::POST, "/admin/explain", path).await?;
    assert_eq!((status, &problem["field"]), (422, &json!("path")));
    Ok(())
}

#[tokio::test]
async fn routes_and_upstreams_are_shown_with_their_counts() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let routes = gateway.get("/admin/routes").await?;
    assert_eq!(routes["items"].as_array().map(Vec::len), Some(2));
    let answers = gateway.get("/admin/routes/answers").await?;
    assert_eq!(
        (&answers["prefix"], &answers["candidate"]),
        (&json!("/api/answers"), &json!("quiz"))
    );
    assert_eq!(
        (
            &answers["flagState"]["percent"],
            &answers["flagState"]["phase"]
        ),
        (&json!(25.0), &json!("split"))
    );
    assert_eq!(answers["stats"]["candidate"]["requests"], 0);
    let upstreams = gateway.get("/admin/upstreams").await?;
    assert_eq!(
        upstreams["items"][0]["endpoints"][0]["address"],
        "http://127.0.0.1:9000"
    );
    assert_eq!(
        gateway.get("/admin/config").await?,
        json!({ "inForce": true, "faults": [] })
    );
    Ok(())
}

#[tokio::test]
async fn health_metrics_and_the_console_need_no_token() -> anyhow::Result<()> {
    let gateway = Gateway::start(TOKENS).await?;
    assert_eq!(gateway.get("/health/live").await?["status"], "live");
    let ready = gateway.get("/health/ready").await?;
    assert_eq!(ready["dependencies"]["flags"]["status"], "up");
    let metrics = gateway
        .request(Method::GET, "/metrics")
        .send()
        .await?
        .text()
        .await?;
    assert!(
        metrics.contains("banyan_gateway_flag_percent{flag=\"quiz-cutover\"} 25.0"),
        "{metrics}"
    );
    for line in [
        "banyan_gateway_config_reloads_total{result=\"refused\"} 0",
        "banyan_gateway_config_fault 0",
        "banyan_gateway_route_info{route=\"all\",flag=\"\",legacy=\"legacy\",candidate=\"\"} 1",
        "dependency_up{dependency=\"flags\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let console = gateway.request(Method::GET, "/").send().await?;
    let policy = console.headers()["content-security-policy"]
        .to_str()?
        .to_owned();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let html = console.text().await?;
    for asset in ["console.js", "console.css"] {
        assert!(html.contains(asset));
        let asset = gateway
            .request(Method::GET, &format!("/{asset}"))
            .send()
            .await?;
        assert_eq!(asset.status().as_u16(), 200);
    }
    let script = include_str!("../../src/admin/console/console.js");
    assert!(
        !script.contains("innerHTML"),
        "what comes from the API is text"
    );
    Ok(())
}
