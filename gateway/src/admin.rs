//! The admin API: what operators see and change, on a port of its own.
//!
//! Invariants: nothing under `/admin` answers without a token where tokens are configured, nor to a
//! page of another origin; every change has a name and a reason. The data port has none of this:
//! its paths belong to the upstreams.

mod console;
mod explain;
mod flags;
mod guard;
mod metrics;
mod routes;

use std::sync::Arc;

use axum::{Router, middleware};
use chassis::{Health, Metrics, Problem, http::Service};
use futures::future::BoxFuture;
use http::HeaderMap;

use crate::{
    control::Control, identity::Identity, stats::Stats, subject::CookieSigner, upstream::Upstreams,
};

/// Tells who sends a request with these headers, as the data plane would.
pub type Identify = Arc<dyn Fn(HeaderMap) -> BoxFuture<'static, Option<Identity>> + Send + Sync>;

/// What the admin API shows and changes.
#[derive(Clone)]
pub struct Admin {
    /// The configuration, the table and the flags.
    pub control: Arc<Control>,
    /// The live counts.
    pub stats: Arc<Stats>,
    /// The backends.
    pub upstreams: Arc<Upstreams>,
    /// Reads `banyan_subject`, for `explain`.
    pub cookies: Arc<CookieSigner>,
    /// Reads tokens, for `explain`.
    pub identify: Identify,
    /// The gateway's readiness checks; the flags' own is added here.
    pub health: Health,
    /// The gateway's metrics; the flags' own are added here.
    pub metrics: Metrics,
}

/// Everything that is served on the admin port: `/admin`, `/health`, `/metrics`, and the console.
pub async fn router(admin: Admin) -> Router {
    let flags = admin.control.flags().clone();
    admin
        .health
        .check("flags", move || std::future::ready(flags.readiness()))
        .await;
    metrics::register(&admin.metrics, &admin.control);
    let service = Service {
        name: "gateway",
        health: admin.health.clone(),
        metrics: admin.metrics.clone(),
    };
    let guarded = Router::new()
        .merge(routes::router())
        .merge(flags::router())
        .merge(explain::router())
        .fallback(async || Problem::not_found("not_found", "There is nothing under this path."))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&admin.control),
            guard::check,
        ))
        .with_state(admin);
    let router = Router::new()
        .nest("/admin", guarded)
        .merge(console::router());
    chassis::http::stack(router, &service)
}
