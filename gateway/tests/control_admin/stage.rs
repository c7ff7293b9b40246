//! An admin API without a data plane, and somebody who talks to it.

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
use serde_json::Value;

pub(crate) const TOKENS: &str = r#"
    admin_tokens = [
        { name = "ann", token = "ann-ann-ann-ann-ann" },
        { name = "vic", token = "vic-vic-vic-vic-vic", role = "viewer" },
    ]
"#;

/// A running admin API without a data plane; stopped when dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    client: Client,
    shutdown: Shutdown,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Gateway {
    pub(crate) async fn start(more: &str) -> anyhow::Result<Self> {
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

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self
            .request(Method::GET, path)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?)
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Value,
    ) -> anyhow::Result<(u16, Value)> {
        answer(
            self.request(method, path)
                .header("x-banyan-actor", "ann")
                .json(&body)
                .send()
                .await?,
        )
        .await
    }

    pub(crate) async fn patch(&self, body: Value) -> anyhow::Result<(u16, Value)> {
        self.send(Method::PATCH, FLAG, body).await
    }
}

pub(crate) const FLAG: &str = "/admin/flags/quiz-cutover";

pub(crate) async fn answer(response: Response) -> anyhow::Result<(u16, Value)> {
    Ok((response.status().as_u16(), response.json().await?))
}
