//! The console: one page over the admin API. It holds no secret and needs no build; with tokens it
//! asks for one and keeps it for the tab.

use axum::{Router, response::IntoResponse, routing::get};
use http::{HeaderName, header};

/// Nothing from elsewhere, nothing inline, in nobody's frame: what an attacker might get into a
/// flag's reason stays text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let html = "text/html; charset=utf-8";
    let script = "text/javascript; charset=utf-8";
    let style = "text/css; charset=utf-8";
    Router::new()
        .route(
            "/",
            get(async move || page(html, include_str!("console/index.html"))),
        )
        .route(
            "/console.js",
            get(async move || page(script, include_str!("console/console.js"))),
        )
        .route(
            "/console.css",
            get(async move || page(style, include_str!("console/console.css"))),
        )
}

fn page(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
