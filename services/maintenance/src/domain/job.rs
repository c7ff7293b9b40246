//! The jobs that there are, with what holds unless the configuration says otherwise.

use std::time::Duration;

/// A job's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// What it does, for people.
    pub description: &'static str,
    /// A cron expression; none for what runs only when asked for.
    pub schedule: Option<&'static str>,
    /// How long a run may take.
    pub timeout: Duration,
    /// What a due time is while the last run still runs.
    pub overlap: Overlap,
    /// What a due time is that passed while nobody ran.
    pub missed: Missed,
    /// Who does it.
    pub work: Work,
}

/// What becomes of a run that should begin while another of the job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is noted as skipped; whoever asked for it is told.
    Skip,
    /// It begins afterwards; one waits at most.
    Queue,
}

/// What becomes of due times that passed while no replica ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// They become one run.
    RunOnce,
    /// They are noted as skipped.
    Skip,
}

/// Who does a job's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// These services, asked by event; the run ends when all have done their part.
    Services(&'static [&'static str]),
    /// As [`Work::Services`], but one that does not answer in time is a finding, not a failure.
    Survey(&'static [&'static str]),
    /// An event is written, and that is all.
    Event,
    /// This service, one replica of it.
    Local,
}

const MINUTE: Duration = Duration::from_secs(60);

/// The job that removes guests.
pub const GUEST_CLEANUP: &str = "guest-cleanup";
/// The job that removes expired tokens.
pub const EXPIRED_TOKENS: &str = "expired-tokens";
/// The job that removes old rows.
pub const RETENTION: &str = "retention";
/// The job that sets a player's stats back.
pub const STATS_RESET: &str = "stats-reset";
/// The job that asks every service how it is.
pub const HEALTH: &str = "health";
/// The job that archives the log.
pub const LOG_ARCHIVE: &str = "log-archive";
/// The job that checks the archive and declares a restorable set.
pub const LOG_SNAPSHOT: &str = "log-snapshot";
/// The job that reports on a day.
pub const DAILY_REPORT: &str = "daily-report";

/// All jobs, by name.
pub const JOBS: [Definition; 8] = [
    Definition {
        name: DAILY_REPORT,
        description: "Reports what happened on a UTC day: yesterday, or `day`.",
        schedule: Some("5 0 * * *"),
        timeout: Duration::from_secs(10 * 60),
        overlap: Overlap::Queue,
        missed: Missed::RunOnce,
        work: Work::Local,
    },
    Definition {
        name: EXPIRED_TOKENS,
        description: "Removes refresh tokens and one-time codes that have expired.",
        schedule: Some("45 * * * *"),
        timeout: Duration::from_secs(5 * 60),
        overlap: Overlap::Skip,
        missed: Missed::RunOnce,
        work: Work::Services(&["auth"]),
    },
    Definition {
        name: GUEST_CLEANUP,
        description: "Deletes guests who have not been seen for long, with all that is theirs.",
        schedule: Some("15 3 * * *"),
        timeout: Duration::from_secs(30 * 60),
        overlap: Overlap::Skip,
        missed: Missed::RunOnce,
        work: Work::Services(&["auth"]),
    },
    Definition {
        name: HEALTH,
        description: "Asks every service how far its consumers and its outbox are.",
        schedule: Some("*/5 * * * *"),
        timeout: Duration::from_secs(30),
        overlap: Overlap::Skip,
        missed: Missed::Skip,
        work: Work::Survey(&[
            "auth",
            "question",
            "quiz",
            "achievement",
            "leaderboard",
            "admin",
            "maintenance",
        ]),
    },
    Definition {
        name: LOG_ARCHIVE,
        description: "Writes what is new in the event log into compressed, checksummed segments.",
        schedule: Some("10 * * * *"),
        timeout: Duration::from_secs(30 * 60),
        overlap: Overlap::Skip,
        missed: Missed::RunOnce,
        work: Work::Local,
    },
    Definition {
        name: LOG_SNAPSHOT,
        description: "Verifies every archived segment and declares a restorable set.",
        schedule: Some("50 3 * * *"),
        timeout: Duration::from_secs(60 * 60),
        overlap: Overlap::Skip,
        missed: Missed::RunOnce,
        work: Work::Local,
    },
    Definition {
        name: RETENTION,
        description: "Removes rows that are older than each service keeps them.",
        schedule: Some("30 3 * * *"),
        timeout: Duration::from_secs(30 * 60),
        overlap: Overlap::Skip,
        missed: Missed::RunOnce,
        work: Work::Services(&["question", "quiz", "achievement", "leaderboard"]),
    },
    Definition {
        name: STATS_RESET,
        description: "Sets the stats and scores of the user `userId` back to nothing.",
        schedule: None,
        timeout: MINUTE,
        overlap: Overlap::Queue,
        missed: Missed::Skip,
        work: Work::Event,
    },
];

/// The job of that name.
pub fn definition(name: &str) -> Option<&'static Definition> {
    JOBS.iter().find(|job| job.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobs_are_in_the_order_of_their_names() {
        let names: Vec<_> = JOBS.iter().map(|job| job.name).collect();
        assert!(names.is_sorted());
    }

    #[test]
    fn every_built_in_schedule_is_one() {
        for schedule in JOBS.iter().filter_map(|job| job.schedule) {
            assert!(
                schedule.parse::<super::super::Schedule>().is_ok(),
                "{schedule}"
            );
        }
    }
}
