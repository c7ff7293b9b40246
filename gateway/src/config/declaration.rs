//! A route's declaration as JSON: for the admin API and for the log.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Compress, Config, Cors, EncodedSlash, HeaderRules, PathForm, Pattern, RateLimit, Route,
    RouteAuth,
};
use crate::id::RouteId;

impl Config {
    /// All routes' declarations.
    #[must_use]
    pub fn declared_routes(&self) -> BTreeMap<RouteId, Value> {
        self.routes
            .iter()
            .map(|route| (route.id.clone(), route.declaration()))
            .collect()
    }
}

impl Route {
    /// The route in the words of the file, with all defaults.
    #[must_use]
    pub fn declaration(&self) -> Value {
        let methods = self.methods.as_ref();
        json!({
            "id": self.id,
            "prefix": match &self.pattern {
                Pattern::Prefix(prefix) => Some(prefix),
                Pattern::Template(_) => None,
            },
            "template": match &self.pattern {
                Pattern::Prefix(_) => None,
                Pattern::Template(template) => Some(template),
            },
            "host": self.host,
            "methods": methods.map(|all| all.iter().map(|it| it.as_str()).collect::<Vec<_>>()),
            "accept": self.accept,
            "legacy": self.legacy,
            "candidate": self.candidate,
            "flag": self.flag,
            "fallback": self.fallback,
            "rewrite": self.rewrite.as_ref().map(|rewrite| json!({
                "stripPrefix": rewrite.strip_prefix,
                "addPrefix": rewrite.add_prefix,
            })),
            "auth": self.auth.as_ref().map(RouteAuth::declaration),
            "public": self.public,
            "rateLimit": self.rate_limit.as_ref().map(RateLimit::declaration),
            "path": match self.path {
                PathForm::Normalized => "normalized",
                PathForm::Keep => "keep",
            },
            "encodedSlash": match self.encoded_slash {
                EncodedSlash::Reject => "reject",
                EncodedSlash::Keep => "keep",
            },
            "caseInsensitive": self.case_insensitive,
            "methodOverride": self.method_override,
            "maxBody": self.max_body,
            "closeOnFlip": self.close_on_flip,
            "tunnelIdleTimeoutSeconds": self.tunnel_idle_timeout.as_secs_f64(),
            "requestHeaders": self.request_headers.as_ref().map(HeaderRules::declaration),
            "responseHeaders": self.response_headers.as_ref().map(HeaderRules::declaration),
            "cors": self.cors.as_ref().map(Cors::declaration),
            "compress": self.compress.as_ref().map(Compress::declaration),
            "deadlineMilliseconds": self.deadline.map(|deadline| deadline.as_millis() as u64),
            "retryKeyed": self.retry_keyed,
        })
    }
}

impl RouteAuth {
    /// In the words of the file.
    #[must_use]
    pub fn declaration(&self) -> Value {
        json!({
            "required": self.required,
            "roles": self.roles,
            "scopes": self.scopes,
        })
    }
}
