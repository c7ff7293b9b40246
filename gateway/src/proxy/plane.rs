//! All that requests read of one configuration, resolved beforehand and swapped as a whole.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;

use super::cors::CorsRules;
use crate::config::{self, AccessLog, Config, HeaderCase, Network};
use crate::flag::Side;
use crate::identity::Verifier;
use crate::limits::{Limits, RouteLimit};
use crate::pace::LeastRate;
use crate::stats::{RouteStats, Stats};
use crate::table::{Route, Table};
use crate::upstream::{Upstream, Upstreams};

/// One configuration, as requests need it.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) table: Arc<Table>,
    /// By the routes' places in the table; none where a route's upstream is missing.
    entries: Vec<Option<Entry>>,
    pub(crate) verifier: Option<Arc<Verifier>>,
    trusted: Vec<Network>,
    pub(crate) route_headers: bool,
    pub(crate) max_in_flight: usize,
    pub(crate) access_log: AccessLog,
    pub(crate) limits: config::Limits,
    /// Some upstream gets names as clients wrote them, and answers so.
    pub(crate) keeps_header_case: bool,
    /// Some upstream's interim answers go on to clients.
    pub(crate) passes_hints: bool,
}

/// What belongs to one route.
#[derive(Debug)]
pub(crate) struct Entry {
    legacy: Arc<Upstream>,
    candidate: Option<Arc<Upstream>>,
    pub(crate) stats: Arc<RouteStats>,
    pub(crate) limit: Option<Arc<RouteLimit>>,
    pub(crate) cors: Option<CorsRules>,
    /// The id as `X-Banyan-Route` has it.
    pub(crate) name: HeaderValue,
}

impl Plane {
    /// Resolves a table. A route whose upstream is missing is left out, which a valid
    /// configuration does not have.
    pub(crate) fn new(
        config: &Config,
        table: Arc<Table>,
        upstreams: &Upstreams,
        stats: &Stats,
        limits: &Limits,
        verifier: Option<Arc<Verifier>>,
    ) -> Self {
        let entries = table
            .routes()
            .iter()
            .map(|route| {
                Some(Entry {
                    legacy: upstreams.get(&route.legacy)?,
                    candidate: match &route.candidate {
                        Some(candidate) => Some(upstreams.get(candidate)?),
                        None => None,
                    },
                    stats: stats.route(&route.id),
                    limit: limits.of(&route.config),
                    cors: route.config.cors.as_ref().and_then(CorsRules::new),
                    name: HeaderValue::from_str(route.id.as_str()).ok()?,
                })
            })
            .collect();
        Self {
            table,
            entries,
            verifier,
            trusted: config.trusted_proxies.clone(),
            route_headers: config.route_headers,
            max_in_flight: config.max_in_flight as usize,
            access_log: config.access_log,
            limits: config.limits.clone(),
            keeps_header_case: config
                .upstreams
                .values()
                .any(|upstream| upstream.header_case == HeaderCase::Keep),
            passes_hints: config
                .upstreams
                .values()
                .any(|upstream| upstream.early_hints),
        }
    }

    /// What belongs to a route of this plane's table.
    pub(crate) fn entry(&self, route: &Route) -> Option<&Entry> {
        self.entries.get(route.place)?.as_ref()
    }

    /// How slow a client's body may be.
    pub(crate) fn least_rate(&self) -> LeastRate {
        LeastRate {
            rate: self.limits.min_rate,
            grace: self.limits.min_rate_grace,
        }
    }

    pub(crate) fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

impl Entry {
    pub(crate) fn upstream(&self, side: Side) -> &Arc<Upstream> {
        match (side, &self.candidate) {
            (Side::Candidate, Some(candidate)) => candidate,
            _ => &self.legacy,
        }
    }
}
