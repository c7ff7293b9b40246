//! A route's declaration as JSON: for the admin API and for the log.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{Config, EncodedSlash, PathForm, Pattern, RateKey, Route, RouteAuth};
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
            "rateLimit": self.rate_limit.as_ref().map(|limit| json!({
                "per": match limit.per {
                    RateKey::Subject => "subject",
                    RateKey::Ip => "ip",
                    RateKey::Route => "route",
                },
                "count": limit.rate.count,
                "periodSeconds": Duration::as_secs(&limit.rate.per),
                "burst": limit.burst,
            })),
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
