//! A badge, and the rule that says when it is earned.

use std::fmt;

use contracts::events::BadgeRef;
use serde::Serialize;

use super::player::{Answered, Player};

/// The stable name of a badge in events, tables and URLs: lower-case words joined by hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct BadgeId(&'static str);

/// What a player sees of an achievement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Badge {
    /// Its stable id.
    pub id: BadgeId,
    /// Its title, a few words.
    pub name: &'static str,
    /// What it is given for, one sentence.
    pub description: &'static str,
}

/// A badge with its condition.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What is earned.
    pub badge: Badge,
    /// Whether the player *after* the answer deserves it. That it is given only once is
    /// [`super::apply`]'s business, so a condition may stay true for ever.
    pub holds: fn(&Player, &Answered) -> bool,
}

impl BadgeId {
    /// The id `id`.
    #[must_use]
    pub const fn new(id: &'static str) -> Self {
        Self(id)
    }

    /// The id as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for BadgeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl Badge {
    /// The badge as events and answers name it.
    #[must_use]
    pub fn to_ref(&self) -> BadgeRef {
        BadgeRef {
            id: self.id.0.to_owned(),
            name: self.name.to_owned(),
        }
    }
}

impl Rule {
    pub(super) const fn new(
        id: &'static str,
        name: &'static str,
        description: &'static str,
        holds: fn(&Player, &Answered) -> bool,
    ) -> Self {
        Self {
            badge: Badge {
                id: BadgeId(id),
                name,
                description,
            },
            holds,
        }
    }
}
