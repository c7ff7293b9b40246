//! What the span of one attempt tells. It is the parent that the upstream sees.

use std::sync::Arc;

use chassis::trace::{self, Kind, Span};

use super::{Answer, Context, Failure, Outgoing, Verdict};
use crate::upstream::{Endpoint, Upstream};

/// Begins an attempt's span; none, at no cost, where it would not be recorded.
pub(super) fn begin(
    outgoing: &Outgoing<'_>,
    upstream: &Upstream,
    context: Context<'_>,
    number: u32,
    endpoint: &Arc<Endpoint>,
) -> Option<Span> {
    let name = || trace::method(outgoing.method);
    let mut span = context.tracer.child(Kind::Client, context.trace, name)?;
    let address = endpoint.address();
    span.set("http.request.method", trace::method(outgoing.method));
    span.set("server.address", address.host.clone());
    span.set("server.port", i64::from(address.port));
    // Without the query, which may hold what nobody should read in a trace.
    span.set_text("url.path", outgoing.uri.path());
    span.set(
        "banyan.upstream",
        upstream.name().to_str().unwrap_or_default().to_owned(),
    );
    span.set("banyan.side", context.side.as_str());
    if number > 1 {
        span.set("http.request.resend_count", i64::from(number) - 1);
    }
    Some(span)
}

/// Tells how the attempt ended.
pub(super) fn end(mut span: Span, outcome: &Result<Answer, Failure>) {
    match outcome {
        Ok(answer) => {
            let status = answer.response.status();
            span.set("http.response.status_code", i64::from(status.as_u16()));
            if answer.verdict == Verdict::Failed || status.is_server_error() {
                span.fail(status.as_u16().to_string(), status);
            }
        }
        Err(failure) => span.fail(failure.cause.as_str(), failure.cause.as_str()),
    }
}
