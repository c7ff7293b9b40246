use std::{
    any::Any,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::{
    Health, Metrics, Problem,
    trace::{self, Kind, Origin, Tracer, X_TRACE_ID},
};

/// Bodies are small JSON documents; a path that takes more sets its own limit.
const MAX_BODY: usize = 64 * 1024;

/// Above every wait that a handler may do on purpose (10 s for `Prefer: wait=10`).
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// What the layers need to know of the service they surround.
#[derive(Clone)]
pub struct Service {
    /// The service's name, in logs.
    pub name: &'static str,
    /// Its readiness checks.
    pub health: Health,
    /// Its metrics.
    pub metrics: Metrics,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone)]
struct Observer {
    service: &'static str,
    tracer: Tracer,
    requests: Family<Labels, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    panics: Counter,
}

/// Surrounds a service's router with what every service has.
pub fn stack(router: Router, service: &Service) -> Router {
    let buckets: fn() -> Histogram = || {
        Histogram::new([
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ])
    };
    let tracer = Tracer::of(service.name);
    let observer = Observer {
        service: service.name,
        tracer,
        requests: Family::default(),
        seconds: Family::new_with_constructor(buckets),
        in_flight: Gauge::default(),
        panics: Counter::default(),
    };
    let panics = observer.panics.clone();
    service.metrics.register(|registry| {
        tracer.register(registry);
        let requests = observer.requests.clone();
        registry.register(
            "http_requests",
            "Requests answered, by method, the router's path template and status",
            requests,
        );
        let seconds = observer.seconds.clone();
        registry.register(
            "http_request_seconds",
            "Time from request to response head, by the router's path template",
            seconds,
        );
        registry.register(
            "http_requests_in_flight",
            "Requests that have no response head yet",
            observer.in_flight.clone(),
        );
        registry.register(
            "http_panics",
            "Requests whose handler panicked",
            observer.panics.clone(),
        );
    });
    let no_such_path =
        async || Problem::not_found("not_found", "There is nothing under this path.");
    let no_such_method = async || {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Problem::with_status(status, "method_not_allowed", "This path has other methods.")
    };
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(
            ServiceBuilder::new()
                // Outermost: everything below knows its trace, is logged and counted, even a panic.
                .layer(middleware::from_fn_with_state(observer, observe))
                // A panic is one request's failure, not the connection's.
                .layer(CatchPanicLayer::custom(
                    move |cause: Box<dyn Any + Send>| {
                        panics.inc();
                        panicked(cause.as_ref())
                    },
                ))
                // No handler waits for ever.
                .layer(middleware::from_fn(bounded))
                // Refused before it is read.
                .layer(DefaultBodyLimit::max(MAX_BODY)),
        )
        // Probes and scrapes are not traffic: neither logged nor counted.
        .merge(service.health.router())
        .merge(service.metrics.router(service.health.clone()))
}

async fn observe(State(observer): State<Observer>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let mut span =
        observer
            .tracer
            .begin(Kind::Server, Origin::of_headers(request.headers()), || {
                format!("{} {route}", trace::method(&method))
            });
    if span.is_recording() {
        span.set("http.request.method", trace::method(&method));
        span.set("http.route", route.clone());
        span.set("url.scheme", "http");
        span.set_text("url.path", request.uri().path());
    }
    let context = span.context();
    let trace_id = context.trace_id();
    // As an error's, so that no filter for lines takes the names away.
    let names = tracing::error_span!(
        "request", service = observer.service, %method, route, trace_id,
        correlation_id = %context.correlation_id()
    );
    let begun = Instant::now();
    let under_way = UnderWay::begin(&observer.in_flight);
    let mut response = span
        .scope(next.run(request).instrument(names.clone()))
        .await;
    drop(under_way);
    let elapsed = begun.elapsed();
    let status = response.status().as_u16();
    span.set("http.response.status_code", i64::from(status));
    if response.status().is_server_error() {
        span.fail(status.to_string(), response.status());
    }
    let answered = async { tracing::debug!(status, elapsed_ms = elapsed.as_millis(), "answered") };
    span.scope(answered.instrument(names)).await;
    observer
        .requests
        .get_or_create(&Labels {
            method: trace::method(&method),
            route: route.clone(),
            status,
        })
        .inc();
    observer
        .seconds
        .get_or_create(&Route { route })
        .observe(elapsed.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&trace_id) {
        response.headers_mut().insert(X_TRACE_ID, value);
    }
    response
}

/// Counts a request until its head is there, or its client has gone away.
struct UnderWay(Gauge);

impl UnderWay {
    fn begin(in_flight: &Gauge) -> Self {
        in_flight.inc();
        Self(in_flight.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// An operator's act may be long work (an import); the caller decides how long to wait for it.
async fn bounded(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/ops/") {
        return next.run(request).await;
    }
    match tokio::time::timeout(HANDLER_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("timeout", "The request took too long and was given up.")
            .retry_after(1)
            .into_response(),
    }
}

fn panicked(cause: &(dyn Any + Send)) -> Response {
    let text = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text");
    Problem::internal(&text).into_response()
}
