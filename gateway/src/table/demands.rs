//! The demands that one request has to meet, from wherever they come.
//!
//! Invariant: each stands there once. Nothing is allocated for the demands of one route alone.

use crate::config::RouteAuth;

/// Demands on a request's token, all of which must be met; none: public.
#[derive(Debug, Clone, Default)]
pub struct Demands<'a> {
    own: &'a [RouteAuth],
    more: Vec<&'a RouteAuth>,
}

impl<'a> Demands<'a> {
    /// Those of a route.
    pub(super) fn of(own: &'a [RouteAuth]) -> Self {
        Self {
            own,
            more: Vec::new(),
        }
    }

    /// Each of them, a route's own first.
    pub fn iter(&self) -> impl Iterator<Item = &'a RouteAuth> + use<'a, '_> {
        self.own.iter().chain(self.more.iter().copied())
    }

    /// Whether everybody may pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.more.is_empty()
    }

    pub(super) fn add(&mut self, demands: impl IntoIterator<Item = &'a RouteAuth>) {
        for demand in demands {
            if !self.iter().any(|known| known == demand) {
                self.more.push(demand);
            }
        }
    }
}
