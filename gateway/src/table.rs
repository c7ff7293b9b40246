//! The compiled routing table: who serves a path.
//!
//! Invariants: a table never changes; a new one is built beside it and swapped in as a whole.
//! Looking up takes time by the path's segments, not by the routes' number, and allocates only for
//! what a route inherits.

mod demands;
mod guards;
mod judge;
mod tree;

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use http::{HeaderMap, Method};

use crate::{
    config::{self, Config, RouteAuth},
    flag::FlagCell,
    headers,
    id::{FlagId, RouteId, UpstreamId},
};
pub use demands::Demands;
use guards::{Guards, Met, Siblings};
pub use judge::{Judged, Unjudged};
use tree::{Case, Rank, Tree};

/// The flags' cells by name; every flag of a valid configuration has one.
pub type Cells = BTreeMap<FlagId, Arc<FlagCell>>;

/// Who serves which path; immutable.
#[derive(Debug, Default)]
pub struct Table {
    routes: Vec<Arc<Route>>,
    any_host: Host,
    hosts: BTreeMap<Box<str>, Host>,
    /// Those of all routes with a host.
    guards_of_hosts: Guards,
}

/// A route as the data plane uses it.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub id: RouteId,
    /// Its place among the table's routes.
    pub place: usize,
    /// Who has always served it.
    pub legacy: UpstreamId,
    /// Who is going to serve it.
    pub candidate: Option<UpstreamId>,
    /// The flag's live state; present exactly when `candidate` is.
    pub flag: Option<Arc<FlagCell>>,
    /// What it demands wherever it serves: its own `auth`, and that of the routes that have its
    /// prefix for some methods only.
    pub demands: Box<[RouteAuth]>,
    /// All that its file says about it.
    pub config: config::Route,
}

/// A route that was found, and who may use it there.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// The route.
    pub route: &'a Arc<Route>,
    /// The demands on the request's token, all of which must be met: the route's own, and those of
    /// narrower routes of the same path that only serve other methods or hosts. Empty: public.
    pub auth: Demands<'a>,
    /// Another `Accept` might have found another route.
    pub varies_by_accept: bool,
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Host {
    exact: Tree<Arc<Route>>,
    folded: Tree<Arc<Route>>,
    guards: Guards,
}

impl Table {
    /// Builds the table of a valid configuration. A route whose flag has no cell would be served
    /// by legacy alone; [`crate::flag::Flags`] makes a cell for each declared flag first.
    #[must_use]
    pub fn build(config: &Config, cells: &Cells) -> Self {
        let mut table = Self::default();
        let siblings = Siblings::of(&config.routes);
        for declared in &config.routes {
            let flag = declared.flag.as_ref().and_then(|id| cells.get(id)).cloned();
            let route = Arc::new(Route {
                id: declared.id.clone(),
                place: table.routes.len(),
                legacy: declared.legacy.clone(),
                candidate: declared.candidate.clone().filter(|_| flag.is_some()),
                flag,
                demands: siblings.demands(declared),
                config: declared.clone(),
            });
            table.routes.push(Arc::clone(&route));
            let host = match &declared.host {
                Some(host) => table.hosts.entry(host.as_str().into()).or_default(),
                None => &mut table.any_host,
            };
            let case = host.insert(&route);
            if declared.host.is_some() {
                table.guards_of_hosts.insert(declared, case);
            }
        }
        table
    }

    /// All routes, in the file's order.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The route with this id.
    #[must_use]
    pub fn route(&self, id: &str) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.id.as_str() == id)
    }

    /// The route that serves a request. `host` is without its port, and a dot at its end (the root
    /// of DNS) means nothing; `path` is in its normal form (dots resolved, `;params` off, plain
    /// characters decoded); empty segments are passed over.
    ///
    /// Routes of the host come before those of any host; then the narrowest pattern that takes the
    /// path (segment by segment from the left a literal comes before a template's name, and either
    /// before the end of a prefix) and has a route for the request; there one that names what the
    /// client accepts, then one that names the method, then one for all.
    #[must_use]
    pub fn find(
        &self,
        host: Option<&str>,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Found<'_>> {
        let host = host.map(|host| host.strip_suffix('.').unwrap_or(host));
        let asked = Asked {
            method,
            headers,
            varies: Cell::new(false),
        };
        let own = host.and_then(|host| self.host(host));
        let (found, rank, of_host) = match own.and_then(|(_, own)| own.find(&asked, path)) {
            Some((found, rank)) => (found, rank, true),
            None => {
                let (found, rank) = self.any_host.find(&asked, path)?;
                (found, rank, false)
            }
        };
        let mut auth = self.demands(own, found, rank, of_host, path);
        if let Some(version) = &found.config.accept {
            let own = own.map(|(_, own)| own);
            for host in own.into_iter().chain([&self.any_host]) {
                host.add_other_versions(&asked, version, path, &mut auth);
            }
        }
        Some(Found {
            route: found,
            auth,
            varies_by_accept: asked.varies.get(),
        })
    }

    fn host(&self, host: &str) -> Option<(&str, &Host)> {
        if self.hosts.is_empty() {
            return None;
        }
        let exact = self.hosts.get_key_value(host);
        let folded = || {
            self.hosts
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(host))
        };
        exact.or_else(folded).map(|(name, host)| (&**name, host))
    }

    /// A route inherits the `auth` of the narrowest patterns of this path that are not broader than
    /// its own: one below it, or a template that neither holds the other. So a guard that names some
    /// methods is not walked around with another method, and a weaker `auth` of the broader route is
    /// no way around it either.
    ///
    /// A route of any host inherits from those with a host as well, whatever host is asked for: the
    /// client chooses what it writes there, and the upstream need not look at it.
    fn demands<'a>(
        &'a self,
        own: Option<(&'a str, &'a Host)>,
        route: &'a Route,
        rank: Rank,
        of_host: bool,
        path: &str,
    ) -> Demands<'a> {
        if route.config.public {
            return Demands::default();
        }
        let case = if route.config.case_insensitive {
            Case::Ignored
        } else {
            Case::Kept
        };
        let is_narrower = |guard: Rank| !rank.is_within(guard);
        let mut met = Met::none(own.map(|(name, _)| name));
        match own.filter(|_| of_host) {
            Some((_, own)) => met.meet(&own.guards, path, case, is_narrower),
            None => met.meet(&self.guards_of_hosts, path, case, |guard| {
                is_narrower(guard) || guard == rank
            }),
        }
        met.meet(&self.any_host.guards, path, case, is_narrower);
        let mut demands = Demands::of(&route.demands);
        demands.add(met.narrowest());
        demands
    }
}

impl Route {
    /// The upstream of a side; legacy where there is no candidate.
    #[must_use]
    pub fn upstream(&self, side: crate::flag::Side) -> &UpstreamId {
        match (side, &self.candidate) {
            (crate::flag::Side::Candidate, Some(candidate)) => candidate,
            _ => &self.legacy,
        }
    }

    fn serves(&self, method: &Method) -> bool {
        let methods = self.config.methods.as_ref();
        methods.is_none_or(|methods| methods.contains(method))
    }
}

impl Host {
    fn insert(&mut self, route: &Arc<Route>) -> Case {
        let (routes, case) = if route.config.case_insensitive {
            (&mut self.folded, Case::Ignored)
        } else {
            (&mut self.exact, Case::Kept)
        };
        routes.insert(&route.config.pattern, Arc::clone(route), case);
        self.guards.insert(&route.config, case);
        case
    }

    fn find(&self, asked: &Asked<'_>, path: &str) -> Option<(&Arc<Route>, Rank)> {
        let exact = self
            .exact
            .narrowest(path, Case::Kept, |routes, _| asked.best(routes));
        if self.folded.is_empty() {
            return exact;
        }
        let folded = self
            .folded
            .narrowest(path, Case::Ignored, |routes, _| asked.best(routes));
        match (exact, folded) {
            (Some(exact), Some(folded)) if folded.1 > exact.1 => Some(folded),
            (None, folded) => folded,
            (exact, _) => exact,
        }
    }

    /// A client may name several versions in one `Accept`, which goes on as it came: the upstream may
    /// answer with any of them, so the demands of each are owed.
    fn add_other_versions<'a>(
        &'a self,
        asked: &Asked<'_>,
        than: &str,
        path: &str,
        demands: &mut Demands<'a>,
    ) {
        let is_other = |route: &&Arc<Route>| {
            let accept = route.config.accept.as_deref();
            accept.is_some_and(|accept| accept != than)
                && route.serves(asked.method)
                && asked.is_accepted(route)
        };
        for (tree, case) in [(&self.exact, Case::Kept), (&self.folded, Case::Ignored)] {
            tree.each(path, case, |routes, _| {
                let others = routes.iter().filter(is_other);
                demands.add(others.flat_map(|route| &route.demands));
            });
        }
    }
}

/// What is asked of the routes of one pattern.
struct Asked<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    /// Whether `Accept` was looked at.
    varies: Cell<bool>,
}

impl Asked<'_> {
    /// Of the routes with one pattern, the one that names most of what is asked for.
    fn best<'a>(&self, routes: &'a [Arc<Route>]) -> Option<&'a Arc<Route>> {
        let mut best: Option<&Arc<Route>> = None;
        for route in routes {
            if !self.is_accepted(route) || !route.serves(self.method) {
                continue;
            }
            let names = |route: &Route| {
                (
                    route.config.accept.is_some(),
                    route.config.methods.is_some(),
                )
            };
            if best.is_none_or(|best| names(route) > names(best)) {
                best = Some(route);
            }
        }
        best
    }

    fn is_accepted(&self, route: &Route) -> bool {
        let Some(wanted) = &route.config.accept else {
            return true;
        };
        self.varies.set(true);
        headers::names_media_type(self.headers, wanted)
    }
}

#[cfg(test)]
mod tests;
