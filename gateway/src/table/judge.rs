//! The route of a whole request: of the method that was sent, and of the one that an override header
//! asks for. The data plane and `explain` judge by this one function.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::{Demands, Found, Route, Table};
use crate::{
    config::RateKey,
    flag::SubjectSource,
    headers::{self, AmbiguousOverride},
    path,
};

/// The route that a request is judged by.
#[derive(Debug, Clone)]
pub struct Judged<'a> {
    /// The route.
    pub route: &'a Arc<Route>,
    /// The demands of the route of the method that was sent, and of the one that is acted on.
    pub demands: Demands<'a>,
    /// The method that an override header asks the upstream to act on instead of the one sent.
    pub acts_as: Option<Method>,
    /// Another `Accept` might have found another route.
    pub varies_by_accept: bool,
}

/// Why no route takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unjudged {
    /// There is none.
    #[error("no route of the gateway takes this path and method")]
    NoRoute,
    /// The override headers have no one reading.
    #[error(transparent)]
    Ambiguous(#[from] AmbiguousOverride),
    /// The overriding method leads to a route that heeds no override.
    #[error("the route of the overriding method takes no method override")]
    OverrideRefused,
}

impl Table {
    /// Finds the route of a request, its override headers considered where its route lets them decide.
    ///
    /// # Errors
    /// Why there is none.
    pub fn judge(
        &self,
        host: Option<&str>,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Judged<'_>, Unjudged> {
        let find = |method: &Method| -> Result<_, Unjudged> {
            let found = self.find(host, method, path, headers);
            let mut found = found.ok_or(Unjudged::NoRoute)?;
            // The upstream may decode the path before it looks at it, and act on what it then reads.
            for reading in path::readings(path) {
                if let Some(read) = self.find(host, method, &reading, headers) {
                    found.auth.add(read.auth.iter());
                    found.varies_by_accept |= read.varies_by_accept;
                }
            }
            Ok(found)
        };
        let sent = find(method)?;
        let Some(acts_as) = acts_as(sent.route, method, headers)? else {
            return Ok(Judged {
                route: sent.route,
                demands: sent.auth,
                acts_as: None,
                varies_by_accept: sent.varies_by_accept,
            });
        };
        // The monolith will act on the override, so the route is judged by it; but whatever does not
        // heed it acts on the method that was sent, so the demands of both are to be met.
        let Found {
            route,
            auth,
            varies_by_accept,
        } = find(&acts_as)?;
        if !route.config.method_override {
            return Err(Unjudged::OverrideRefused);
        }
        let mut demands = sent.auth;
        demands.add(auth.iter());
        Ok(Judged {
            route,
            demands,
            acts_as: Some(acts_as),
            varies_by_accept: sent.varies_by_accept || varies_by_accept,
        })
    }
}

impl Judged<'_> {
    /// Whether it matters who sends the request: for a demand, or for a flag or a limit that reads a claim.
    #[must_use]
    pub fn wants_identity(&self) -> bool {
        !self.demands.is_empty() || self.route.reads_claims()
    }
}

impl Route {
    /// Whether its flag decides, or its limit counts, by a token's claim.
    pub(crate) fn reads_claims(&self) -> bool {
        let limit = self.config.rate_limit.as_ref();
        let counts_by_claim = limit.is_some_and(|limit| limit.per == RateKey::Subject);
        counts_by_claim
            || self.flag.as_ref().is_some_and(|flag| {
                let state = flag.load();
                let mut sources = state.settings.subject.iter();
                sources.any(|source| matches!(source, SubjectSource::Jwt(_)))
            })
    }
}

/// The method that is acted on, where the route lets an override decide and it is another one.
fn acts_as(
    route: &Route,
    sent: &Method,
    headers: &HeaderMap,
) -> Result<Option<Method>, AmbiguousOverride> {
    if !route.config.method_override {
        return Ok(None);
    }
    let asked = headers::method_override(headers)?;
    Ok(asked.filter(|method| method != sent))
}
