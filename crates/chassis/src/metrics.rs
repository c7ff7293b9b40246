//! Prometheus metrics: one registry per process part, shown at `/metrics`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::header;
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::Problem;

/// A shared registry. Names carry no prefix of the service: the scrape's labels tell it.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers metrics: `metrics.register(|registry| registry.register("name", "help", m))`.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The OpenMetrics text.
    ///
    /// # Errors
    /// When a metric cannot be formatted.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(
            &mut text,
            &self.0.lock().unwrap_or_else(PoisonError::into_inner),
        )?;
        Ok(text)
    }

    /// `GET /metrics`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/metrics", get(show))
            .with_state(self.clone())
    }
}

async fn show(State(metrics): State<Metrics>) -> Result<impl IntoResponse, Problem> {
    let text = metrics
        .encode()
        .map_err(|error| Problem::internal(&error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text))
}
