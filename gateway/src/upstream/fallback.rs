//! How much of a failing candidate's traffic an upstream takes over.
//!
//! Invariant: its own traffic comes first. Fallbacks never take the last part of the bulkhead, and are
//! bounded over time by a budget of their own.

use super::Upstream;

impl Upstream {
    /// A request came that could fall back to this upstream: it earns its share of a fallback.
    pub(crate) fn earn_fallback(&self) {
        self.fallbacks.deposit();
    }

    /// True when a request that another upstream failed may be sent here. The upstream's own traffic
    /// comes first: a fallback is let in only while a part of the bulkhead is left to it, and as
    /// long as the budget has one.
    pub(crate) fn take_fallback(&self) -> bool {
        let share = self.settings.fallback.share_percent as usize;
        let has_room = self.settings.max_in_flight.is_none_or(|most| {
            let open = (most as usize * share / 100).max(1);
            self.bulkhead.load() < open
        });
        if !has_room {
            self.refused.fallback_share();
            return false;
        }
        let has_one = self.fallbacks.withdraw();
        if !has_one {
            self.refused.fallback_budget();
        }
        has_one
    }
}
