//! Who may use a path: the `auth` of all routes, found by the path alone.
//!
//! Invariant: whatever a client leaves out or writes differently (the method, the host, `Accept`,
//! letters' case where it does not matter) to reach a broader route, the demands of the narrowest
//! route of that path are met with it.

use std::collections::{BTreeSet, HashMap};

use super::tree::{Case, Rank, Tree};
use crate::config::{Route, RouteAuth};

/// The `auth` of all routes of a host, by pattern.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// Of routes for which case matters, and the others.
    exact: Tree<Guard>,
    folded: Tree<Guard>,
    /// Of all routes, without regard to case: for routes whose upstream does not care about it.
    all_folded: Tree<Guard>,
}

/// What routes of one pattern demand.
#[derive(Debug)]
struct Guard {
    auth: RouteAuth,
    /// The hosts of its routes; none: any. One guard for all, since a thousand hosts that demand the
    /// same are not to be gone through for a request.
    hosts: BTreeSet<Box<str>>,
}

/// The guards that a request meets.
#[derive(Debug)]
pub(super) struct Met<'a> {
    /// Whose routes come before those of any host.
    own_host: Option<&'a str>,
    guards: Vec<(Rank, &'a Guard)>,
}

/// The routes of a configuration by host and pattern.
pub(super) struct Siblings<'a>(HashMap<(Option<&'a str>, String), Vec<&'a Route>>);

impl Guards {
    pub(super) fn insert(&mut self, route: &Route, case: Case) {
        let Some(auth) = &route.auth else {
            return;
        };
        let own = match case {
            Case::Kept => &mut self.exact,
            Case::Ignored => &mut self.folded,
        };
        for (tree, case) in [(own, case), (&mut self.all_folded, Case::Ignored)] {
            let guards = tree.values(&route.pattern, case);
            let host = route.host.as_deref().map(Box::from);
            match guards.iter_mut().find(|guard| guard.auth == *auth) {
                Some(guard) => guard.hosts.extend(host),
                None => guards.push(Guard {
                    auth: auth.clone(),
                    hosts: host.into_iter().collect(),
                }),
            }
        }
    }
}

impl<'a> Met<'a> {
    pub(super) fn none(own_host: Option<&'a str>) -> Self {
        Self {
            own_host,
            guards: Vec::new(),
        }
    }

    /// Adds those of a path whose pattern `counts`.
    pub(super) fn meet(
        &mut self,
        guards: &'a Guards,
        path: &str,
        case: Case,
        counts: impl Fn(Rank) -> bool,
    ) {
        if guards.all_folded.is_empty() {
            return;
        }
        let mut meet = |tree: &'a Tree<Guard>, case| {
            tree.each(path, case, |guards, rank| {
                if counts(rank) {
                    self.guards.extend(guards.iter().map(|guard| (rank, guard)));
                }
            });
        };
        match case {
            Case::Ignored => meet(&guards.all_folded, Case::Ignored),
            Case::Kept => {
                meet(&guards.exact, Case::Kept);
                meet(&guards.folded, Case::Ignored);
            }
        }
    }

    /// What those demand that no other one lies within. Of patterns that cross each other neither
    /// is the narrower: whoever reaches a broader route owes both.
    pub(super) fn narrowest(&self) -> impl Iterator<Item = &'a RouteAuth> {
        let is_narrowest = |outer| {
            !self
                .guards
                .iter()
                .any(|&inner| self.lies_within(inner, outer))
        };
        let narrowest = self
            .guards
            .iter()
            .copied()
            .filter(move |it| is_narrowest(*it));
        narrowest.map(|(_, guard)| &guard.auth)
    }

    fn lies_within(&self, (inner, one): (Rank, &Guard), (outer, other): (Rank, &Guard)) -> bool {
        if !inner.is_within(outer) {
            return false;
        }
        // Of other hosts' guards nobody knows which one the upstream will act by.
        let is_own_host =
            other.hosts.is_empty() && self.own_host.is_some_and(|own| one.hosts.contains(own));
        is_own_host || (inner != outer && one.hosts == other.hosts)
    }
}

impl<'a> Siblings<'a> {
    pub(super) fn of(routes: &'a [Route]) -> Self {
        let mut siblings = HashMap::<_, Vec<_>>::new();
        for route in routes {
            siblings.entry(key(route)).or_default().push(route);
        }
        Self(siblings)
    }

    /// A route's own `auth`, and that of the routes with its pattern that are narrower: else `GET`
    /// would be guarded and `HEAD` not, or who asks for version 2 and not who asks for none.
    pub(super) fn demands(&self, route: &Route) -> Box<[RouteAuth]> {
        if route.public {
            return Box::default();
        }
        let siblings = self.0.get(&key(route)).into_iter().flatten();
        let narrower = siblings.filter(|other| is_narrower(other, route));
        let mut demands: Vec<RouteAuth> = Vec::new();
        for auth in [route]
            .into_iter()
            .chain(narrower.copied())
            .filter_map(|it| it.auth.as_ref())
        {
            if !demands.contains(auth) {
                demands.push(auth.clone());
            }
        }
        demands.into()
    }
}

/// Of two routes with one pattern: whether some request can be made one for either, and the second
/// one takes others besides.
fn is_narrower(one: &Route, than: &Route) -> bool {
    let ignores_case = one.case_insensitive || than.case_insensitive;
    if !ignores_case && one.pattern.shape() != than.pattern.shape() {
        return false;
    }
    let overlaps_by_method = match (&one.methods, &than.methods) {
        (Some(one), Some(than)) => one.iter().any(|method| than.contains(method)),
        _ => true,
    };
    let overlaps_by_accept = match (&one.accept, &than.accept) {
        (Some(one), Some(than)) => one == than,
        _ => true,
    };
    overlaps_by_method && overlaps_by_accept && !is_within(than, one)
}

fn is_within(inner: &Route, outer: &Route) -> bool {
    let methods = match (&inner.methods, &outer.methods) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner.iter().all(|method| outer.contains(method)),
    };
    methods && (outer.accept.is_none() || inner.accept == outer.accept)
}

fn key(route: &Route) -> (Option<&str>, String) {
    let shape = route.pattern.shape().to_ascii_lowercase();
    (route.host.as_deref(), shape)
}
