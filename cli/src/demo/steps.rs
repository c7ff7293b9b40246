//! The operator's script, as data: what is done, in which order, and what it shows.

use std::time::Duration;

/// The flag that moves logins.
const AUTH: &str = "auth-cutover";
/// The flag that moves everything that players play with.
const QUIZ: &str = "quiz-cutover";
/// The participant that is stopped.
const PARTICIPANT: &str = "leaderboard";
/// Above the 5 s after which a saga without a reply turns back, so that clients see it happen.
const OUTAGE_AT_LEAST: Duration = Duration::from_secs(8);

/// One step of the script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// A line.
    pub(crate) title: &'static str,
    /// What to watch for.
    pub(crate) shows: &'static str,
    /// What the operator does, in order.
    pub(crate) acts: &'static [Act],
    /// How long it is then watched.
    pub(crate) hold: Hold,
}

/// What the operator does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    /// Takes over what the monolith holds; can be repeated at any time.
    Import,
    /// Sets a flag's percent.
    Percent(&'static str, u32),
    /// Everybody to legacy, now.
    Rollback(&'static str),
    /// Clears a rollback and sets the percent.
    Return(&'static str, u32),
    /// Stops all consumers of a service.
    Pause(&'static str),
    /// Lets them go on.
    Resume(&'static str),
    /// SIGKILL, and a start on the same data.
    KillAndRestart,
}

/// How long a step is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// As long as `--step` says.
    Step,
    /// At least until sagas have timed out.
    Outage,
}

impl Hold {
    /// The time, where a step lasts `step`.
    pub(crate) fn lasts(self, step: Duration) -> Duration {
        match self {
            Self::Step => step,
            Self::Outage => step.max(OUTAGE_AT_LEAST),
        }
    }
}

/// Where a system that somebody has moved already is brought first.
pub(crate) const BEGINNING: &[Act] = &[Act::Return(AUTH, 0), Act::Return(QUIZ, 0)];

/// The script.
pub(crate) const SCRIPT: &[Step] = &[
    Step {
        title: "all on legacy",
        shows: "the monolith serves everything; the gateway only stands in front of it",
        acts: &[],
        hold: Hold::Step,
    },
    Step {
        title: "auth moves, from 0 to 100 % at once",
        shows: "accounts were imported with their password hashes; tokens are good on both sides",
        acts: &[Act::Import, Act::Percent(AUTH, 100), Act::Import],
        hold: Hold::Step,
    },
    Step {
        title: "questions, answers, stats, achievements and leaderboard: 10 %",
        shows: "one flag, so that nobody has half of it on each side",
        acts: &[Act::Import, Act::Percent(QUIZ, 10)],
        hold: Hold::Step,
    },
    Step {
        title: "the same: 50 %",
        shows: "whoever was over stays over",
        acts: &[Act::Import, Act::Percent(QUIZ, 50)],
        hold: Hold::Step,
    },
    Step {
        title: "the same: 100 %",
        shows: "every answer runs through a saga",
        acts: &[Act::Import, Act::Percent(QUIZ, 100)],
        hold: Hold::Step,
    },
    Step {
        title: "one participant stops: leaderboard",
        shows: "sagas time out after 5 s and take their answers back; clients get a clean 503",
        acts: &[Act::Pause(PARTICIPANT)],
        hold: Hold::Outage,
    },
    Step {
        title: "leaderboard goes on",
        shows: "it undoes what was taken back meanwhile, and answers are accepted again",
        acts: &[Act::Resume(PARTICIPANT)],
        hold: Hold::Step,
    },
    Step {
        title: "the process is killed with SIGKILL and started on the same data",
        shows: "clients repeat with the same key and get one outcome each",
        acts: &[Act::KillAndRestart],
        hold: Hold::Step,
    },
    Step {
        title: "rollback to legacy",
        shows: "everybody is back on the monolith at once",
        acts: &[Act::Rollback(QUIZ)],
        hold: Hold::Step,
    },
    Step {
        title: "100 % again",
        shows: "a rollback is cleared only explicitly",
        acts: &[Act::Import, Act::Return(QUIZ, 100)],
        hold: Hold::Step,
    },
];

/// Which step must see answers taken back.
pub(crate) fn must_compensate(step: &Step) -> bool {
    step.acts.iter().any(|act| matches!(act, Act::Pause(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_only_moves_over_after_an_import() {
        for step in SCRIPT {
            let moves = |act: &Act| matches!(act, Act::Percent(..) | Act::Return(..));
            if let Some(first) = step.acts.iter().position(moves) {
                assert!(step.acts[..first].contains(&Act::Import), "{}", step.title);
            }
        }
    }

    #[test]
    fn whatever_is_stopped_is_started_again() {
        let acts: Vec<_> = SCRIPT.iter().flat_map(|step| step.acts).collect();
        for (place, act) in acts.iter().enumerate() {
            if let Act::Pause(service) = act {
                assert!(acts[place..].contains(&&Act::Resume(service)));
            }
        }
        let last = acts.iter().rev().find(|act| !matches!(act, Act::Import));
        assert_eq!(last, Some(&&Act::Return(QUIZ, 100)));
    }

    #[test]
    fn an_outage_is_watched_beyond_the_sagas_deadline() {
        assert_eq!(Hold::Outage.lasts(Duration::from_secs(1)), OUTAGE_AT_LEAST);
        assert_eq!(
            Hold::Outage.lasts(Duration::from_secs(20)),
            Duration::from_secs(20)
        );
        assert_eq!(
            Hold::Step.lasts(Duration::from_secs(1)),
            Duration::from_secs(1)
        );
    }
}
