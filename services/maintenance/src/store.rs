//! All SQL of the maintenance service.
//!
//! Invariant: whoever changes a job's runs holds the job's row first ([`jobs::hold`]), so a job has
//! at most one run that runs and one that waits; two unique indexes say the same.

pub mod archive;
pub mod counts;
pub mod holds;
pub mod jobs;
pub mod participants;
pub mod runs;

use database::Migrations;

/// The service's own tables.
pub fn migrations() -> Migrations {
    Migrations::new(
        "maintenance",
        sqlx::migrate!("../../migrations/maintenance/postgres"),
        sqlx::migrate!("../../migrations/maintenance/sqlite"),
    )
}
