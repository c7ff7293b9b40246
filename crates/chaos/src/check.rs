//! What must be true afterwards: a pure function of what clients heard and what the databases say.
//!
//! - What a client was told counts is there exactly once, everywhere: one answer, one submission and
//!   one end in the log, one effect in each participant, once in counts, streaks and boards.
//! - What a client was told was taken back counts nowhere; what was refused is not there at all.
//! - What a client never heard of is there once and everywhere, or nowhere; never in between.
//! - Nothing is there that no client asked for.
//! - Streaks, points, scores and places equal those that follow from the log alone.
//! - Positions are contiguous; each stream's events lie in their order, in the log and in the outbox
//!   they came from; and everything has come to rest.

mod boards;
mod counts;
mod order;
mod rest;
mod story;
#[cfg(test)]
mod tests;
mod told;

use std::fmt;

use serde::Serialize;

use self::story::Story;
use crate::{facts::Facts, history::Call};

/// What is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which claim it is about.
    pub claim: Claim,
    /// What it is.
    pub text: String,
}

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Claim {
    /// An acknowledged answer is there exactly once, everywhere.
    Acknowledged,
    /// A compensated answer counts nowhere.
    Compensated,
    /// One that nothing was heard of is there wholly or not at all.
    Unknown,
    /// A refused one is not there.
    Refused,
    /// Nothing is there that nobody asked for.
    Unasked,
    /// A client is never told two things that cannot both be.
    Constant,
    /// What a client reads holds all that it was told before.
    Reads,
    /// Streaks, points and counts follow from the log.
    Counts,
    /// Badges follow from the log.
    Badges,
    /// Scores and places follow from the log.
    Ranks,
    /// Positions are contiguous.
    Positions,
    /// Each stream's events lie in their order.
    Streams,
    /// What was sent is in the log, and nothing else.
    Outbox,
    /// Everything has come to rest.
    Rest,
    /// No process ends by itself, but with a fault that it tells at its start.
    Ends,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.claim, self.text)
    }
}

/// All that is not as it must be.
#[must_use]
pub fn check(calls: &[Call], facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    let story = Story::of(&facts.log, &mut findings);
    order::check(facts, &mut findings);
    rest::check(facts, &mut findings);
    told::check(calls, facts, &story, &mut findings);
    counts::check(calls, facts, &story, &mut findings);
    boards::check(calls, facts, &story, &mut findings);
    findings.0
}

/// Findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, claim: Claim, text: impl Into<String>) {
        let text = text.into();
        self.0.push(Finding { claim, text });
    }

    /// Notes what is not so; whether it is so.
    fn expect(&mut self, is_so: bool, claim: Claim, text: impl FnOnce() -> String) -> bool {
        if !is_so {
            self.add(claim, text());
        }
        is_so
    }
}
