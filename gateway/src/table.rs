//! The compiled routing table: who serves a path.
//!
//! Invariants: a table never changes; a new one is built beside it and swapped in as a whole.
//! Looking up allocates nothing and takes time by the path's segments, not by the routes' number.

mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use http::Method;

use crate::{
    config::{self, Config, RouteAuth},
    flag::FlagCell,
    id::{FlagId, RouteId, UpstreamId},
};
use tree::{Case, Tree};

/// The flags' cells by name; every flag of a valid configuration has one.
pub type Cells = BTreeMap<FlagId, Arc<FlagCell>>;

/// Who serves which path; immutable.
#[derive(Debug, Default)]
pub struct Table {
    routes: Vec<Arc<Route>>,
    any_host: Host,
    hosts: BTreeMap<Box<str>, Host>,
    together: Together,
}

/// What a route demands, then what it inherits, to both as one list: looking up makes none.
type Together = BTreeMap<Box<[RouteAuth]>, BTreeMap<Box<[RouteAuth]>, Box<[RouteAuth]>>>;

/// A route as the data plane uses it.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub id: RouteId,
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
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The route.
    pub route: &'a Arc<Route>,
    /// The demands on the request's token, all of which must be met: the route's own, and those of
    /// narrower routes of the same path that only serve other methods or hosts. Empty: public.
    pub auth: &'a [RouteAuth],
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Host {
    exact: Tree<Arc<Route>>,
    folded: Tree<Arc<Route>>,
    guards: Guards,
}

/// The `auth` of all routes of a host, by prefix.
#[derive(Debug, Default)]
struct Guards {
    /// Of routes for which case matters, and the others.
    exact: Tree<RouteAuth>,
    folded: Tree<RouteAuth>,
    /// Of all routes, without regard to case: for routes whose upstream does not care about it.
    all_folded: Tree<RouteAuth>,
}

impl Table {
    /// Builds the table of a valid configuration. A route whose flag has no cell would be served
    /// by legacy alone; [`crate::flag::Flags`] makes a cell for each declared flag first.
    #[must_use]
    pub fn build(config: &Config, cells: &Cells) -> Self {
        let mut table = Self::default();
        for declared in &config.routes {
            let flag = declared.flag.as_ref().and_then(|id| cells.get(id)).cloned();
            let route = Arc::new(Route {
                id: declared.id.clone(),
                legacy: declared.legacy.clone(),
                candidate: declared.candidate.clone().filter(|_| flag.is_some()),
                flag,
                demands: demands(config, declared),
                config: declared.clone(),
            });
            table.routes.push(Arc::clone(&route));
            let host = match &declared.host {
                Some(host) => table.hosts.entry(host.as_str().into()).or_default(),
                None => &mut table.any_host,
            };
            host.insert(&route);
        }
        table.together = table.combine();
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
    /// Routes of the host come before those of any host; then the longest prefix of whole segments
    /// that has the method; then one that names the method before one for all.
    #[must_use]
    pub fn find(&self, host: Option<&str>, method: &Method, path: &str) -> Option<Found<'_>> {
        let host = host.map(|host| host.strip_suffix('.').unwrap_or(host));
        let own = host.and_then(|host| self.host(host));
        let (found, depth, of_host) = match own.and_then(|own| own.find(method, path)) {
            Some((found, depth)) => (found, depth, true),
            None => {
                let (found, depth) = self.any_host.find(method, path)?;
                (found, depth, false)
            }
        };
        Some(Found {
            route: found,
            auth: self.demands(own, found, depth, of_host, path),
        })
    }

    fn host(&self, host: &str) -> Option<&Host> {
        if self.hosts.is_empty() {
            return None;
        }
        let exact = self.hosts.get(host);
        let folded = || {
            self.hosts
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(host))
        };
        exact.or_else(|| folded().map(|(_, found)| found))
    }

    /// A route inherits the `auth` of the narrowest route below it on this path: one with a longer
    /// prefix, or with the same one for this host only. So a guard that names some methods is not
    /// walked around with another method, and a weaker `auth` of the broader route is no way
    /// around it either.
    fn demands<'a>(
        &'a self,
        own: Option<&'a Host>,
        route: &'a Route,
        depth: usize,
        of_host: bool,
        path: &str,
    ) -> &'a [RouteAuth] {
        if route.config.public {
            return &[];
        }
        let inherited = self.inherited(own, route, depth, of_host, path);
        match (&*route.demands, inherited) {
            (own, []) => own,
            ([], inherited) => inherited,
            (own, inherited) => {
                // Every pair is there; see `combine`.
                let both = self.together.get(own).and_then(|with| with.get(inherited));
                both.map_or(inherited, |both| both)
            }
        }
    }

    fn inherited<'a>(
        &'a self,
        own: Option<&'a Host>,
        route: &Route,
        depth: usize,
        of_host: bool,
        path: &str,
    ) -> &'a [RouteAuth] {
        let case = if route.config.case_insensitive {
            Case::Ignored
        } else {
            Case::Kept
        };
        let of_own = own.and_then(|own| own.guards.deepest(path, case));
        let of_any = self.any_host.guards.deepest(path, case);
        let own_from = if of_host { depth + 1 } else { depth };
        let of_own = of_own.filter(|(at, _)| *at >= own_from);
        let of_any = of_any.filter(|(at, _)| *at > depth);
        match (of_own, of_any) {
            (Some((own_at, own)), Some((any_at, any))) => {
                if any_at > own_at {
                    any
                } else {
                    own
                }
            }
            (Some((_, demands)), None) | (None, Some((_, demands))) => demands,
            (None, None) => &[],
        }
    }

    fn combine(&self) -> Together {
        let hosts = || self.hosts.values().chain([&self.any_host]);
        let inherited: BTreeSet<&[RouteAuth]> =
            hosts().flat_map(|host| host.guards.lists()).collect();
        let mut together = Together::new();
        for route in self.routes.iter().filter(|it| !it.demands.is_empty()) {
            together.entry(route.demands.clone()).or_insert_with(|| {
                let both = |list: &&[RouteAuth]| {
                    let mut both = route.demands.to_vec();
                    both.extend(
                        list.iter()
                            .filter(|it| !route.demands.contains(it))
                            .cloned(),
                    );
                    (Box::from(*list), both.into())
                };
                inherited.iter().map(both).collect()
            });
        }
        together
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
        self.config
            .methods
            .as_ref()
            .is_none_or(|methods| methods.contains(method))
    }
}

impl Host {
    fn insert(&mut self, route: &Arc<Route>) {
        let prefix = &route.config.prefix;
        let (routes, guards, case) = if route.config.case_insensitive {
            (&mut self.folded, &mut self.guards.folded, Case::Ignored)
        } else {
            (&mut self.exact, &mut self.guards.exact, Case::Kept)
        };
        routes.insert(prefix, Arc::clone(route), case);
        if let Some(auth) = &route.config.auth {
            guards.insert(prefix, auth.clone(), case);
            self.guards
                .all_folded
                .insert(prefix, auth.clone(), Case::Ignored);
        }
    }

    fn find(&self, method: &Method, path: &str) -> Option<(&Arc<Route>, usize)> {
        let exact = self
            .exact
            .deepest(path, Case::Kept, |routes| best(routes, method));
        if self.folded.is_empty() {
            return exact;
        }
        let folded = self
            .folded
            .deepest(path, Case::Ignored, |routes| best(routes, method));
        match (exact, folded) {
            (Some(exact), Some(folded)) if folded.1 > exact.1 => Some(folded),
            (None, folded) => folded,
            (exact, _) => exact,
        }
    }
}

impl Guards {
    fn lists(&self) -> impl Iterator<Item = &[RouteAuth]> {
        let trees = [&self.exact, &self.folded, &self.all_folded];
        trees.into_iter().flat_map(Tree::lists)
    }

    fn deepest(&self, path: &str, case: Case) -> Option<(usize, &[RouteAuth])> {
        if self.all_folded.is_empty() {
            return None;
        }
        let all = |tree, case| Tree::deepest(tree, path, case, Some);
        let turned = |(demands, depth)| (depth, demands);
        match case {
            Case::Ignored => all(&self.all_folded, Case::Ignored).map(turned),
            Case::Kept => {
                let exact = all(&self.exact, Case::Kept).map(turned);
                let folded = all(&self.folded, Case::Ignored).map(turned);
                if folded.map(|found| found.0) > exact.map(|found| found.0) {
                    folded
                } else {
                    exact
                }
            }
        }
    }
}

/// A route's own `auth`. One for all methods is broader than those with its prefix that name some,
/// and inherits theirs: else `GET` would be guarded and `HEAD` not.
fn demands(config: &Config, route: &config::Route) -> Box<[RouteAuth]> {
    let is_narrower = |other: &&config::Route| {
        route.methods.is_none() && other.methods.is_some() && other.host == route.host
    };
    let same_prefix = |other: &&config::Route| {
        if route.case_insensitive || other.case_insensitive {
            other.prefix.eq_ignore_ascii_case(&route.prefix)
        } else {
            other.prefix == route.prefix
        }
    };
    if route.public {
        return Box::default();
    }
    let narrower = config.routes.iter().filter(is_narrower).filter(same_prefix);
    let mut demands: Vec<RouteAuth> = Vec::new();
    for auth in [route]
        .into_iter()
        .chain(narrower)
        .filter_map(|it| it.auth.as_ref())
    {
        if !demands.contains(auth) {
            demands.push(auth.clone());
        }
    }
    demands.into()
}

/// Of the routes with one prefix, the one that names the method before the one for all.
fn best<'a>(routes: &'a [Arc<Route>], method: &Method) -> Option<&'a Arc<Route>> {
    let serving = || routes.iter().filter(|route| route.serves(method));
    serving()
        .find(|route| route.config.methods.is_some())
        .or_else(|| serving().next())
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
