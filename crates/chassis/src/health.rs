//! `/health/live` and `/health/ready`: whether the process runs, and whether it can serve.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::sync::RwLock;

use crate::Shutdown;

/// A dependency that does not answer within this is down: probes themselves time out soon after.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

type Check =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// What a failing check means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// The process cannot serve.
    Decides,
    /// It serves, and an operator should look.
    Warns,
}

/// The named checks that decide readiness. Clones share them.
#[derive(Clone)]
pub struct Health {
    checks: Arc<RwLock<Vec<(String, Weight, Check)>>>,
    shutdown: Shutdown,
}

impl Health {
    /// Ready while all checks pass and `shutdown` has not begun.
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            checks: Arc::default(),
            shutdown,
        }
    }

    /// Adds a check; its error text is shown to whoever asks for readiness.
    pub async fn check<F>(
        &self,
        name: impl Into<String>,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name.into(), Weight::Decides, check).await;
    }

    /// Adds a check that does not decide readiness: when it fails it is reported as `degraded`, since
    /// part of the work still goes on, such as reading from a database whose disk is full.
    pub async fn warning<F>(
        &self,
        name: impl Into<String>,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name.into(), Weight::Warns, check).await;
    }

    async fn add<F>(
        &self,
        name: String,
        weight: Weight,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let check: Check = Arc::new(move || Box::pin(check()));
        self.checks.write().await.push((name, weight, check));
    }

    /// Runs all checks at once: which dependencies answer.
    pub async fn dependencies(&self) -> BTreeMap<String, bool> {
        let results = self.results().await;
        results
            .into_iter()
            .map(|(name, _, result)| (name, result.is_ok()))
            .collect()
    }

    /// Runs all checks at once: whether the process is ready, and the report.
    pub async fn report(&self) -> (bool, Value) {
        let results = self.results().await;
        let draining = self.shutdown.is_cancelled();
        let ready = !draining
            && results
                .iter()
                .all(|(_, weight, result)| *weight == Weight::Warns || result.is_ok());
        let dependencies: Map<_, _> = results
            .into_iter()
            .map(|(name, weight, result)| {
                let state = match result {
                    Ok(()) => json!({ "status": "up" }),
                    Err(reason) => {
                        let status = match weight {
                            Weight::Decides => "down",
                            Weight::Warns => "degraded",
                        };
                        json!({ "status": status, "reason": reason })
                    }
                };
                (name, state)
            })
            .collect();
        let status = match (draining, ready) {
            (true, _) => "draining",
            (false, true) => "ready",
            (false, false) => "not_ready",
        };
        (
            ready,
            json!({ "status": status, "dependencies": dependencies }),
        )
    }

    async fn results(&self) -> Vec<(String, Weight, Result<(), String>)> {
        let checks = self.checks.read().await.clone();
        let checks = checks.into_iter().map(|(name, weight, check)| async move {
            let result = match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {CHECK_TIMEOUT:?}")),
            };
            (name, weight, result)
        });
        futures::future::join_all(checks).await
    }

    /// `/health/live` and `/health/ready`.
    pub fn router(&self) -> Router {
        Router::new()
            .route(
                "/health/live",
                get(async || Json(json!({ "status": "live" }))),
            )
            .route("/health/ready", get(ready))
            .with_state(self.clone())
    }
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let (ready, report) = health.report().await;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_failing_dependency_makes_the_process_not_ready_and_is_named() {
        let health = Health::new(Shutdown::new());
        health.check("database", async || Ok(())).await;
        assert!(health.report().await.0);
        health
            .check("bus", async || Err("refused".to_owned()))
            .await;
        let (ready, report) = health.report().await;
        assert!(!ready);
        assert_eq!(report["dependencies"]["bus"]["reason"], "refused");
        assert_eq!(report["dependencies"]["database"]["status"], "up");
    }

    #[tokio::test]
    async fn a_failing_warning_is_told_and_leaves_the_process_ready() {
        let health = Health::new(Shutdown::new());
        health
            .warning("disk", async || Err("it is full".to_owned()))
            .await;
        let (ready, report) = health.report().await;
        assert!(ready);
        assert_eq!(report["dependencies"]["disk"]["status"], "degraded");
        assert_eq!(report["dependencies"]["disk"]["reason"], "it is full");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_counts_as_down() {
        let health = Health::new(Shutdown::new());
        health.check("database", std::future::pending).await;
        assert!(!health.report().await.0);
    }

    #[tokio::test]
    async fn a_draining_process_is_not_ready() {
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        shutdown.trigger();
        assert_eq!(health.report().await.1["status"], "draining");
    }
}
