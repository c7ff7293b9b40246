//! The admin API over real HTTP: what it shows, what it changes, and whom it refuses.

use std::{net::SocketAddr, sync::Arc};

use chassis::{Health, Metrics, Shutdown};
use gateway::{
    Config,
    admin::{self, Admin},
    config::Language,
    control::Control,
    stats::Stats,
    subject::CookieSigner,
    upstream::Upstreams,
};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

const TOKENS: &str = r#"
    admin_tokens = [
        { name = "ann", token = "ann-ann-ann-ann-ann" },
        { name = "vic", token = "vic-vic-vic-vic-vic", role = "viewer" },
    ]
"#;

/// A running admin API without a data plane; stopped when dropped.
struct Gateway {
    address: SocketAddr,
    client: Client,
    shutdown: Shutdown,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Gateway {
    async fn start(more: &str) -> anyhow::Result<Self> {
        let text = format!(
            r#"
            {more}
            [upstreams.legacy]
            endpoints = ["http://127.0.0.1:9000"]
            [upstreams.quiz]
            endpoints = ["http://127.0.0.1:9003"]
            [flags.quiz-cutover]
            percent = 25.0
            subject = ["header:x-user-id"]
            [[routes]]
            id = "answers"
            prefix = "/api/answers"
            legacy = "legacy"
            candidate = "quiz"
            flag = "quiz-cutover"
            [[routes]]
            id = "all"
            prefix = "/"
            legacy = "legacy"
            "#
        );
        let config = Config::from_text(&text, Language::Toml)?;
        let upstreams = Upstreams::new(&config, 1, tokio::runtime::Handle::current());
        let shutdown = Shutdown::new();
        let admin = Admin {
            control: Arc::new(Control::open(config, None).await?),
            stats: Arc::new(Stats::default()),
            upstreams: Arc::new(upstreams),
            cookies: Arc::new(CookieSigner::new(None)),
            identify: Arc::new(|_| Box::pin(std::future::ready(None))),
            health: Health::new(shutdown.clone()),
            metrics: Metrics::new(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = admin::router(admin).await;
        tokio::spawn(chassis::http::serve(listener, router, shutdown.clone()));
        Ok(Self {
            address,
            client: Client::new(),
            shutdown,
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self
            .request(Method::GET, path)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?)
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> anyhow::Result<(u16, Value)> {
        answer(
            self.request(method, path)
                .header("x-banyan-actor", "ann")
                .json(&body)
                .send()
                .await?,
        )
        .await
    }

    async fn patch(&self, body: Value) -> anyhow::Result<(u16, Value)> {
        self.send(Method::PATCH, FLAG, body).await
    }
}

const FLAG: &str = "/admin/flags/quiz-cutover";

async fn answer(response: Response) -> anyhow::Result<(u16, Value)> {
    Ok((response.status().as_u16(), response.json().await?))
}

#[tokio::test]
async fn a_flag_is_shown_changed_turned_back_and_restored() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let flag = gateway.get(FLAG).await?;
    assert_eq!(
        flag,
        json!({
            "id": "quiz-cutover", "percent": 25.0, "salt": "quiz-cutover",
            "subject": ["header:x-user-id"], "allow": [], "deny": [], "rules": [],
            "drain": false, "killed": false, "version": 1, "phase": "split", "pending": false,
        })
    );
    let body = json!({
        "percent": 12.5, "allow": ["user-7"], "reason": "first step", "ifVersion": 1,
        "rules": [{ "header": "x-tenant", "equals": "acme" }],
    });
    let (status, changed) = gateway.patch(body).await?;
    assert_eq!(
        (status, &changed["version"], &changed["percent"]),
        (200, &json!(2), &json!(12.5))
    );
    let rule = json!([{ "header": "x-tenant", "equals": "acme", "side": "candidate" }]);
    assert_eq!(changed["rules"], rule);

    let path = format!("{FLAG}/rollback");
    let (status, back) = gateway
        .send(Method::POST, &path, json!({ "reason": "bad" }))
        .await?;
    assert_eq!(
        (status, &back["killed"], &back["phase"]),
        (200, &json!(true), &json!("killed"))
    );

    let path = format!("{FLAG}/restore");
    let body = json!({ "version": 2, "reason": "was fine" });
    let (status, restored) = gateway.send(Method::POST, &path, body).await?;
    assert_eq!(
        (status, &restored["killed"], &restored["version"]),
        (200, &json!(false), &json!(4))
    );

    let history = gateway.get(&format!("{FLAG}/history")).await?;
    let told: Vec<_> = history["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| {
            (
                it["version"].as_u64(),
                it["actor"].as_str(),
                it["reason"].as_str(),
            )
        })
        .collect();
    let expected = [
        (Some(4), Some("ann"), Some("was fine")),
        (Some(3), Some("ann"), Some("bad")),
        (Some(2), Some("ann"), Some("first step")),
        (
            Some(1),
            Some("file"),
            Some("declared in the configuration file"),
        ),
    ];
    assert_eq!(told, expected);
    assert_eq!(history["items"][1]["before"]["percent"], 12.5);
    assert_eq!(history["items"][3]["before"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn a_wrong_change_is_refused_with_the_field_and_changes_nothing() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    for (body, field) in [
        (json!({ "percent": 50 }), "reason"),
        (json!({ "percent": 50, "reason": "  " }), "reason"),
        (
            json!({ "percent": 50, "reason": "x".repeat(1001) }),
            "reason",
        ),
        (json!({ "percent": 12.345, "reason": "r" }), "percent"),
        (json!({ "percent": 101, "reason": "r" }), "percent"),
        (json!({ "percent": "50", "reason": "r" }), "percent"),
        (json!({ "precent": 50, "reason": "r" }), "precent"),
        (json!({ "salt": "other", "reason": "r" }), "salt"),
        (
            json!({ "allow": ["a"], "deny": ["a"], "reason": "r" }),
            "allow",
        ),
        (
            json!({ "rules": [{ "header": "a b", "equals": "x" }], "reason": "r" }),
            "rules[0]",
        ),
        (
            json!({ "percent": 50, "reason": "r", "ifVersion": -1 }),
            "ifVersion",
        ),
    ] {
        let (status, problem) = gateway.patch(body.clone()).await?;
        assert_eq!(
            (status, &problem["field"]),
            (422, &json!(field)),
            "{body} {problem}"
        );
        assert!(
            problem["code"].is_string() && problem["traceId"].is_string(),
            "{problem}"
        );
    }
    let (status, problem) = gateway.patch(json!({ "reason": "nothing" })).await?;
    assert_eq!(
        (status, &problem["code"]),
        (422, &json!("nothing_to_change"))
    );
    assert_eq!(gateway.get(FLAG).await?["version"], 1);
    Ok(())
}

#[tokio::test]
async fn a_stale_version_is_a_conflict_that_tells_the_current_one() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    gateway
        .patch(json!({ "percent": 30, "reason": "r" }))
        .await?;
    let body = json!({ "percent": 40, "reason": "r", "ifVersion": 1 });
    let (status, problem) = gateway.patch(body).await?;
    assert_eq!((status, &problem["code"]), (409, &json!("stale_version")));
    assert_eq!(problem["currentVersion"], 2);
    Ok(())
}

#[tokio::test]
async fn of_concurrent_changes_with_one_version_exactly_one_wins() -> anyhow::Result<()> {
    let gateway = Gateway::start("").await?;
    let attempts = (0..16).map(|number| {
        gateway.patch(json!({ "percent": 50 + number, "reason": "race", "ifVersion": 1 }))
    });
    let answers = futures::future::try_join_all(attempts).await?;
    let won = answers.iter().filter(|(status, _)| *status == 200).count();
    let lost = answers.iter().filter(|(status, _)| *status == 409).count();
    assert_eq!((won, lost), (1, 15));
    assert_eq!(gateway.get(FLAG).await?["version"], 2);
    Ok(())
}

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
    let script = include_str!("../src/admin/console/console.js");
    assert!(
        !script.contains("innerHTML"),
        "what comes from the API is text"
    );
    Ok(())
}
