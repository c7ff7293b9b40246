//! Pages of other origins: the browser's question beforehand, and what an answer tells it.
//!
//! Invariant: what an upstream says about other origins on such a route is replaced, so that one
//! place decides. tower-http's layer would not do: it takes every `OPTIONS` for the browser's
//! question, and asks for a body that can be made of nothing, while the question here has to be
//! answered for the route of the method that it asks about, before anybody is authenticated.

use http::header::GetAll;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::reply::ReplyBody;
use crate::config::{Cors, Names, Origins};
use crate::headers;

/// A route's rules, as they go out.
#[derive(Debug)]
pub(crate) struct CorsRules {
    origins: Origins,
    credentials: bool,
    methods: HeaderValue,
    allowed: Allowed,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

/// Which headers a page may send.
#[derive(Debug)]
enum Allowed {
    /// Those that the browser asks for: a literal `*` would not cover `Authorization` (Fetch §3.3.4).
    Asked,
    Named(HeaderValue),
    None,
}

/// What a browser wants to know before it sends a request.
pub(super) struct Question<'a> {
    pub(super) origin: &'a HeaderValue,
    pub(super) method: Method,
    /// The headers that the page wants to send.
    headers: GetAll<'a, HeaderValue>,
}

impl<'a> Question<'a> {
    /// An `OPTIONS` that names an origin and a method (Fetch §4.8).
    pub(super) fn of(method: &Method, headers: &'a HeaderMap) -> Option<Self> {
        if method != Method::OPTIONS {
            return None;
        }
        let origin = headers.get(header::ORIGIN)?;
        let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        let method = Method::from_bytes(asked.as_bytes()).ok()?;
        Some(Self {
            origin,
            method,
            headers: headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS),
        })
    }
}

impl CorsRules {
    pub(crate) fn new(cors: &Cors) -> Option<Self> {
        let names = |names: &Names| match names {
            Names::Any => Some(HeaderValue::from_static("*")),
            Names::Some(names) if names.is_empty() => None,
            Names::Some(names) => list(names.iter().map(HeaderName::as_str)),
        };
        Some(Self {
            origins: cors.origins.clone(),
            credentials: cors.credentials,
            methods: list(cors.methods.iter().map(Method::as_str))?,
            allowed: match &cors.headers {
                Names::Any => Allowed::Asked,
                some @ Names::Some(_) => names(some).map_or(Allowed::None, Allowed::Named),
            },
            expose: names(&cors.expose),
            max_age: cors.max_age.map(|age| age.as_secs().into()),
        })
    }

    /// Answers the browser's question. A page that may not gets no permission, which is a refusal.
    pub(super) fn answer(&self, question: &Question<'_>) -> Response<ReplyBody> {
        let mut response = Response::new(ReplyBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let vary = "origin, access-control-request-method, access-control-request-headers";
        headers.insert(header::VARY, HeaderValue::from_static(vary));
        if self.origins.contain(question.origin) {
            let methods = self.methods.clone();
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            match &self.allowed {
                Allowed::Asked => {
                    for asked in &question.headers {
                        headers.append(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
                    }
                }
                Allowed::Named(names) => {
                    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
                }
                Allowed::None => {}
            }
            if let Some(max_age) = &self.max_age {
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, max_age.clone());
            }
        }
        response
    }

    /// Tells on an answer, whoever gave it, which page may read it.
    pub(super) fn mark(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        for name in [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            headers.remove(name);
        }
        if !matches!(self.origins, Origins::Any) {
            headers::vary_by(headers, &header::ORIGIN);
        }
        let Some(origin) = origin.filter(|origin| self.origins.contain(origin)) else {
            return;
        };
        let allowed = match self.origins {
            Origins::Any => HeaderValue::from_static("*"),
            Origins::Some(_) => origin.clone(),
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        if let Some(expose) = &self.expose {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let names: Vec<&str> = names.collect();
    HeaderValue::from_str(&names.join(", ")).ok()
}
