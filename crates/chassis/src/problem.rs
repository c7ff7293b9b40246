//! RFC 9457 problem details: the one shape of every error that leaves a service.

mod codes;
mod page;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::trace::TraceContext;

pub use codes::CODES;
pub use page::{PAGES, check_pages};

/// An error as the client sees it: `application/problem+json` with a stable `code` and the trace
/// id. Only 4xx and 5xx can be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after: Option<u64>,
    members: Map<String, Value>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident = $status:ident;)+) => {$(
        $(#[$doc])*
        pub fn $name(code: &'static str, detail: impl Into<String>) -> Self {
            Self::new(StatusCode::$status, code, detail)
        }
    )+};
}

impl Problem {
    constructors! {
        /// 400: the request cannot be read.
        bad_request = BAD_REQUEST;
        /// 401: no valid token.
        unauthorized = UNAUTHORIZED;
        /// 403: a valid token without the right.
        forbidden = FORBIDDEN;
        /// 404: no such thing, or none of the caller's.
        not_found = NOT_FOUND;
        /// 409: the state has moved on.
        conflict = CONFLICT;
        /// 422: readable, but a value is not acceptable.
        unprocessable = UNPROCESSABLE_ENTITY;
        /// 429: too many.
        too_many_requests = TOO_MANY_REQUESTS;
        /// 503: not now; add [`Problem::retry_after`].
        unavailable = SERVICE_UNAVAILABLE;
    }

    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        // Tests run with this; what makes its code elsewhere than in a call is found here alone.
        debug_assert!(
            codes::is_documented(code),
            "the problem code {code} has no page in docs/errors, or is not in CODES"
        );
        Self {
            status,
            code,
            detail: detail.into(),
            retry_after: None,
            members: Map::new(),
        }
    }

    /// Any 4xx or 5xx; other statuses become 500, since a problem is never a success.
    pub fn with_status(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let status = if status.is_client_error() || status.is_server_error() {
            status
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Self::new(status, code, detail)
    }

    /// 500, with the cause in the log and not in the answer.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "The service failed; the trace id finds the reason in its log.",
        )
    }

    /// 503 for a dependency that does not answer, with the cause in the log.
    pub fn dependency(name: &str, cause: &dyn std::fmt::Display) -> Self {
        tracing::warn!(dependency = name, %cause, "dependency unavailable");
        Self::unavailable(
            "dependency_unavailable",
            format!("The {name} does not answer now."),
        )
        .retry_after(1)
    }

    /// Names the offending field, as `field`.
    #[must_use]
    pub fn field(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with("field", name)
    }

    /// Seconds until a repeat makes sense, as the `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds an extension member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The body, with `trace_id` where there is one.
    pub fn body(&self, trace_id: Option<&str>) -> Value {
        let mut body = self.members.clone();
        body.insert("type".into(), json!(page::type_of(self.code)));
        body.insert(
            "title".into(),
            json!(self.status.canonical_reason().unwrap_or("Error")),
        );
        body.insert("status".into(), json!(self.status.as_u16()));
        body.insert("code".into(), json!(self.code));
        body.insert("detail".into(), json!(self.detail));
        if let Some(trace_id) = trace_id {
            body.insert("traceId".into(), json!(trace_id));
        }
        Value::Object(body)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let trace_id = TraceContext::current().map(|context| context.trace_id());
        let body = self.body(trace_id.as_deref()).to_string();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<database::Error> for Problem {
    /// A transient fault is the dependency's (503); anything else is ours (500).
    fn from(error: database::Error) -> Self {
        if error.is_transient() {
            Self::dependency("database", &error)
        } else {
            Self::internal(&error)
        }
    }
}
