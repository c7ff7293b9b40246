//! What the span of a request tells: the route that took it, the side, and how it ended.

use chassis::trace::{self, Kind, Span, Tracer};
use http::{Method, StatusCode};

use super::{Call, Record};

/// Begins the span of a request, and makes it the parent of all that follows. None, at no cost,
/// where nothing is exported.
pub(super) fn begin(tracer: Tracer, call: &mut Call, method: &Method) -> Option<Span> {
    if !tracer.is_on() {
        return None;
    }
    let mut span = tracer.begin(Kind::Server, call.trace.origin(), || trace::method(method));
    call.trace = call.trace.with_span(span.context());
    call.written = call.trace.written();
    span.set("http.request.method", trace::method(method));
    span.set("url.scheme", "http");
    span.set_text("client.address", call.client);
    Some(span)
}

/// Tells what became of the request. The span ends with the response's last byte.
pub(super) fn describe(span: &mut Span, record: &Record<'_>, status: StatusCode) {
    if !span.is_recording() {
        return;
    }
    if let Some(route) = record.route {
        let config = &route.config;
        span.rename(|| format!("{} {}", trace::method(&record.method), config.pattern));
        span.set("http.route", config.pattern.as_str().to_owned());
        span.set("banyan.route", route.id.as_str().to_owned());
        if let Some(flag) = &config.flag {
            span.set_text("banyan.flag", flag);
        }
    }
    if let Some(side) = record.side {
        span.set("banyan.side", side.as_str());
    }
    span.set("banyan.fallback", record.fell_back);
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_u16().to_string(), status);
    }
}
