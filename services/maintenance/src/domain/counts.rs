//! What is counted of a day, and the report that it adds up to.

use contracts::{
    QuizMode,
    http::{AnswerCounts, AnswerModes, DailyReport},
};

use super::Day;

/// What happened, as the counts' table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// An answer was taken in.
    Submitted,
    /// An answer counts everywhere.
    Completed,
    /// An answer was taken back.
    Failed,
    /// A completed answer was right.
    Correct,
    /// An account came to be.
    NewUser,
    /// A guest came to be.
    NewGuest,
    /// An account or a guest was deleted.
    DeletedUser,
    /// A badge became final.
    Badge,
    /// A question was added, edited or removed.
    QuestionEdit,
}

impl Count {
    /// The name in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Correct => "correct",
            Self::NewUser => "new_user",
            Self::NewGuest => "new_guest",
            Self::DeletedUser => "deleted_user",
            Self::Badge => "badge",
            Self::QuestionEdit => "question_edit",
        }
    }
}

/// The report of `day` from its counts: kind, quiz mode (empty where there is none), count.
pub fn report(day: Day, counts: &[(String, String, i64)]) -> DailyReport {
    let of = |count: Count, mode: Option<&str>| -> i64 {
        counts
            .iter()
            .filter(|(kind, _, _)| kind == count.as_str())
            .filter(|(_, of, _)| mode.is_none_or(|mode| of == mode))
            .map(|(_, _, count)| count)
            .sum()
    };
    let answers = |mode: Option<&str>| AnswerCounts {
        submitted: of(Count::Submitted, mode),
        completed: of(Count::Completed, mode),
        failed: of(Count::Failed, mode),
        correct: of(Count::Correct, mode),
    };
    DailyReport {
        day: day.to_string(),
        answers: answers(None),
        by_mode: AnswerModes {
            classic: answers(Some(QuizMode::Classic.as_str())),
            timed: answers(Some(QuizMode::Timed.as_str())),
            survival: answers(Some(QuizMode::Survival.as_str())),
        },
        new_users: of(Count::NewUser, None),
        new_guests: of(Count::NewGuest, None),
        deleted_users: of(Count::DeletedUser, None),
        badges_unlocked: of(Count::Badge, None),
        question_edits: of(Count::QuestionEdit, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_add_up_to_the_day() {
        let count = |kind: &str, mode: &str, count| (kind.to_owned(), mode.to_owned(), count);
        let day = super::super::day_of("2026-03-29").unwrap();
        let report = report(
            day,
            &[
                count("submitted", "classic", 3),
                count("submitted", "timed", 2),
                count("correct", "timed", 1),
                count("new_guest", "", 4),
            ],
        );
        assert_eq!(report.day, "2026-03-29");
        assert_eq!((report.answers.submitted, report.answers.correct), (5, 1));
        assert_eq!(report.by_mode.timed.submitted, 2);
        assert_eq!((report.new_guests, report.new_users), (4, 0));
    }
}
