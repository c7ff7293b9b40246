//! Prometheus metrics: one registry per process part, shown at `/metrics`.
//!
//! Invariant: the set of label values is bounded by the code, the configuration or the deployment,
//! never by what clients send; `docs/signals.md` says by what for each metric.

mod database;
mod exposition;
mod process;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::{HeaderMap, header};
use prometheus_client::{
    encoding::text::encode,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use self::{database::Connections, exposition::Format, process::Process};
use crate::{Health, Problem};

/// A label set: `(name, value)` pairs.
type Labels = Vec<(&'static str, String)>;

/// A shared registry. Names carry no prefix of the service: the scrape's labels tell it.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    dependencies: Family<Labels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry that holds what every part shows: the process, its version, its dependencies.
    pub fn new() -> Self {
        let dependencies = Family::<Labels, Gauge>::default();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::default()));
        registry.register(
            "dependency_up",
            "1 while a dependency of the readiness check answers, by the check's name",
            dependencies.clone(),
        );
        Self {
            registry: Arc::new(Mutex::new(registry)),
            dependencies,
        }
    }

    /// Registers metrics: `metrics.register(|registry| registry.register("name", "help", m))`.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Shows how many connections of these databases are in use, each under its name here.
    pub fn watch_databases(&self, databases: &[(&'static str, &::database::Database)]) {
        let connections = Connections::of(databases);
        self.register(|registry| registry.register_collector(Box::new(connections)));
    }

    /// The text of all metrics now, in the Prometheus text format.
    ///
    /// # Errors
    /// When a metric cannot be formatted.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        self.encode_as(Format::Prometheus)
    }

    fn encode_as(&self, format: Format) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(
            &mut text,
            &self.registry.lock().unwrap_or_else(PoisonError::into_inner),
        )?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Prometheus => exposition::to_prometheus(&text),
        })
    }

    /// `GET /metrics`, which also asks the dependencies of `health`.
    pub fn router(&self, health: Health) -> Router {
        let shown = Shown {
            metrics: self.clone(),
            health,
        };
        Router::new().route("/metrics", get(show)).with_state(shown)
    }

    fn depends(&self, dependencies: BTreeMap<String, bool>) {
        for (name, is_up) in dependencies {
            let labels = vec![("dependency", name)];
            self.dependencies
                .get_or_create(&labels)
                .set(i64::from(is_up));
        }
    }
}

#[derive(Clone)]
struct Shown {
    metrics: Metrics,
    health: Health,
}

async fn show(
    State(shown): State<Shown>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    shown.metrics.depends(shown.health.dependencies().await);
    let format = Format::accepted_by(&headers);
    let text = shown
        .metrics
        .encode_as(format)
        .map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shutdown;

    #[test]
    fn a_part_shows_its_version_and_when_its_process_began() {
        let text = Metrics::new().encode().unwrap();
        let version = format!(
            "banyan_build_info{{version=\"{}\"",
            env!("CARGO_PKG_VERSION")
        );
        assert!(text.contains(&version), "{text}");
        assert!(text.contains("\nprocess_start_time_seconds "), "{text}");
    }

    #[tokio::test]
    async fn a_dependency_that_went_down_is_shown_as_such() {
        let (metrics, health) = (Metrics::new(), Health::new(Shutdown::new()));
        health.check("database", async || Ok(())).await;
        health
            .check("log", async || Err("refused".to_owned()))
            .await;
        metrics.depends(health.dependencies().await);
        let text = metrics.encode().unwrap();
        assert!(
            text.contains("dependency_up{dependency=\"database\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("dependency_up{dependency=\"log\"} 0"),
            "{text}"
        );
    }
}
