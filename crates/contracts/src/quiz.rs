use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A name that is not of the closed set it should be of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// What was given.
    pub given: String,
    /// What there is.
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is none of {}", self.given, self.known.join(", "))
    }
}

impl std::error::Error for UnknownName {}

/// A closed set of names: the enum, its names on the wire, and the way back. The names are `tt`s:
/// utoipa does not see through a macro's `literal`, and would document the variants' names.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:tt),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in its natural order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Every name, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name on the wire and in the databases.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName { given: text.to_owned(), known: Self::NAMES }),
                }
            }
        }
    };
}

names! {
    /// How a player plays; stats and leaderboards are kept per mode.
    QuizMode {
        /// No clock, no lives.
        Classic = "classic",
        /// Against the clock.
        Timed = "timed",
        /// Until the first wrong answer.
        Survival = "survival",
    }
}

names! {
    /// Over which time a leaderboard counts; days and weeks are those of UTC, weeks begin on Monday.
    Period {
        /// Everything.
        AllTime = "all",
        /// Today.
        Day = "day",
        /// This week.
        Week = "week",
    }
}

names! {
    /// How hard a question is.
    Difficulty {
        /// A warm-up.
        Easy = "easy",
        /// Takes working knowledge.
        Medium = "medium",
        /// Takes experience.
        Hard = "hard",
    }
}
