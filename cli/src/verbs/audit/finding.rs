//! One thing that does not agree.

use std::fmt;

use contracts::QuizMode;
use serde::Serialize;
use uuid::Uuid;

/// Where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// The log contradicts itself.
    Log,
    /// The quiz service.
    Quiz,
    /// The achievement service.
    Achievement,
    /// The leaderboard service.
    Leaderboard,
    /// The monolith.
    Legacy,
    /// What a demo's clients were told contradicts itself.
    Clients,
}

/// What kind of disagreement it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The log says two things of one answer.
    Contradiction,
    /// It should be there and is not.
    Missing,
    /// It is there more than once.
    Duplicate,
    /// It is there although no event says so.
    WithoutEvent,
    /// It says another player, mode, result or worth.
    Facts,
    /// It counts although it must not, or the other way round.
    State,
    /// A sum is not that of its answers.
    Sum,
    /// A badge is not held, or was given twice.
    Badge,
    /// A client was told something else.
    Told,
    /// It was recorded for a player who was never told of it.
    Untold,
    /// It is of a player who was deleted.
    Kept,
}

/// One thing that does not agree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Disagreement {
    /// Where.
    pub(crate) place: Place,
    /// Of what kind.
    pub(crate) kind: Kind,
    /// The answer in question, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer_id: Option<Uuid>,
    /// The player in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<Uuid>,
    /// The mode in question, for sums.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quiz_mode: Option<QuizMode>,
    /// What should be there.
    pub(crate) expected: String,
    /// What is there.
    pub(crate) found: String,
}

/// What a disagreement is about, however the numbers in it change between two looks.
pub(crate) type Subject = (Place, Kind, Option<Uuid>, Option<Uuid>, Option<QuizMode>);

impl Disagreement {
    /// About one answer.
    pub(crate) fn answer(place: Place, kind: Kind, id: Uuid) -> Self {
        Self {
            answer_id: Some(id),
            ..Self::new(place, kind)
        }
    }

    /// About one player.
    pub(crate) fn player(place: Place, kind: Kind, id: Uuid) -> Self {
        Self {
            user_id: Some(id),
            ..Self::new(place, kind)
        }
    }

    fn new(place: Place, kind: Kind) -> Self {
        Self {
            place,
            kind,
            answer_id: None,
            user_id: None,
            quiz_mode: None,
            expected: String::new(),
            found: String::new(),
        }
    }

    /// Narrows it to one mode.
    pub(crate) fn mode(self, mode: QuizMode) -> Self {
        Self {
            quiz_mode: Some(mode),
            ..self
        }
    }

    /// Says what should be there and what is.
    pub(crate) fn say(self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            found: found.into(),
            ..self
        }
    }

    /// What it is about.
    pub(crate) fn subject(&self) -> Subject {
        (
            self.place,
            self.kind,
            self.answer_id,
            self.user_id,
            self.quiz_mode,
        )
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.place)?;
        if let Some(id) = self.answer_id {
            write!(f, " answer {id}")?;
        }
        if let Some(id) = self.user_id {
            write!(f, " player {id}")?;
        }
        if let Some(mode) = self.quiz_mode {
            write!(f, " in {mode}")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "log",
            Self::Quiz => "quiz",
            Self::Achievement => "achievement",
            Self::Leaderboard => "leaderboard",
            Self::Legacy => "legacy",
            Self::Clients => "clients",
        })
    }
}
