//! Who may use a path: the `auth` of all routes, found by the path alone.
//!
//! Invariant: whatever a client leaves out or writes differently (the method, the host, `Accept`,
//! letters' case where it does not matter) to reach a broader route, the demands of the narrowest
//! route of that path are met with it.

use std::collections::HashMap;

use super::tree::{Case, Rank, Tree};
use crate::config::{Route, RouteAuth};

/// The `auth` of all routes of a host, by pattern.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// Of routes for which case matters, and the others.
    exact: Tree<RouteAuth>,
    folded: Tree<RouteAuth>,
    /// Of all routes, without regard to case: for routes whose upstream does not care about it.
    all_folded: Tree<RouteAuth>,
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
        own.insert(&route.pattern, auth.clone(), case);
        self.all_folded
            .insert(&route.pattern, auth.clone(), Case::Ignored);
    }

    pub(super) fn lists(&self) -> impl Iterator<Item = &[RouteAuth]> {
        let trees = [&self.exact, &self.folded, &self.all_folded];
        trees.into_iter().flat_map(Tree::lists)
    }

    /// The demands of the narrowest pattern of this path that `counts`.
    pub(super) fn narrowest(
        &self,
        path: &str,
        case: Case,
        counts: impl Fn(Rank) -> bool,
    ) -> Option<(&[RouteAuth], Rank)> {
        if self.all_folded.is_empty() {
            return None;
        }
        let all = |tree, case| {
            Tree::narrowest(tree, path, case, |demands, rank| {
                counts(rank).then_some(demands)
            })
        };
        match case {
            Case::Ignored => all(&self.all_folded, Case::Ignored),
            Case::Kept => {
                let exact = all(&self.exact, Case::Kept);
                let folded = all(&self.folded, Case::Ignored);
                if folded.map(|found| found.1) > exact.map(|found| found.1) {
                    folded
                } else {
                    exact
                }
            }
        }
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
